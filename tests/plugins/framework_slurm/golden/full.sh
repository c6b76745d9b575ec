#!/bin/bash
#SBATCH --job-name=framework-pong-100-
#SBATCH --array=0-3
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#SBATCH --open-mode=append
#SBATCH --output="/shared/runs/pong 100%%/launch/slurm/slurm-%a.log"
#SBATCH --partition=short
#SBATCH --account=lab
#SBATCH --time=4:00:00
#SBATCH --mem=4G
#SBATCH --exclude=node7

module load python/3.11
source "$HOME/venv/bin/activate"
name=slurm-$SLURM_ARRAY_TASK_ID
task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
token='/shared/runs/pong 100%/launch/slurm/token'
record='/shared/runs/pong 100%/launch/slurm'/$name.state  # what framework launch --status reads

if [ ! -r "$token" ]; then
    echo "$token cannot be read: the launch was ended, or this node does not share the run directory" >&2
    exit 1
fi
echo "started ${SLURMD_NODENAME:-$(uname -n)}" >> "$record"

# SIGTERM comes a minute before the time limit, and where the task is cancelled: the sampler ends in good order.
terminate() {
    terminated=yes
    [ -z "$sampler" ] || kill -TERM "$sampler" 2> /dev/null
}
sampler= terminated= begun=$SECONDS
trap terminate TERM
framework sampler --join '/shared/runs/pong 100%/launch/slurm/token' --workers 8 --name "$name" &
sampler=$!
[ -z "$terminated" ] || terminate
# Not wait alone: bash loses the exit code where a signal comes in the moment in which the sampler ends.
while kill -0 "$sampler" 2> /dev/null; do
    sleep 0.5
done
wait "$sampler"
status=$?
sampler=
echo "ended $status" >> "$record"

case $status in
0)
    exit 0
    ;;
77 | 78)
    echo "$name has ended with $status, and is not started again" >&2
    exit "$status"
    ;;
esac

# All else may go better the next time. A host that ends soon each time waits longer and longer, up to a minute.
starts=$(grep -c '^started' "$record")
if [ -n "$terminated" ]; then
    pause=0
elif [ $((SECONDS - begun)) -ge 60 ]; then
    pause=1
elif [ "$starts" -lt 6 ]; then
    pause=$((1 << (starts - 1)))
else
    pause=60
fi
unset SLURM_CLUSTERS  # where the launcher found this cluster; squeue would print its name too
for pause in "$pause" 5 10 20 40; do  # SLURM may not answer at once
    sleep "$pause" &
    wait $!
    state=$(squeue --all --noheader --jobs="$task" --format=%T) || continue
    if [ "$state" != RUNNING ]; then
        echo "$name has ended with $status, and SLURM is ending its task" >&2
        exit "$status"
    fi
    scontrol requeue "$task" && exit "$status"
done
echo "$name has ended with $status, and SLURM did not queue it again" >&2
exit "$status"
