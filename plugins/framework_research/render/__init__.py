"""What a person is shown of an episode, as text or as a picture."""
