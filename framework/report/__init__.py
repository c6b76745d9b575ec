"""Views made from run directories."""
