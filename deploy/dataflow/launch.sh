#!/usr/bin/env bash
# Labels a corpus on Dataflow, on machines with one GPU each, and waits until the job has ended (docs/deploy.md):
#
#     PROJECT=… REGION=… BUCKET=… IMAGE=… deploy/dataflow/launch.sh MANIFEST OUTPUT [options of earmark annotate or Beam]
#
# Options after OUTPUT take precedence over those set here. The exit status is that of `earmark annotate`.
set -euo pipefail

if [[ $# -lt 2 ]]; then
    echo "usage: PROJECT=… REGION=… BUCKET=… IMAGE=… $0 MANIFEST OUTPUT [options]" >&2
    exit 2
fi
manifest=$1 output=$2
shift 2

: "${PROJECT:?name the Google project}"
: "${REGION:?name a region that has the GPUs, such as europe-west4}"
: "${BUCKET:?name the bucket for temporary files, without gs://}"
: "${IMAGE:?name the image that deploy/dataflow/Dockerfile made, with its tag}"
# L4s are only available in G2 machines; g2-standard-8 has one. For two: g2-standard-24 and GPU_COUNT=2.
machine=${MACHINE:-g2-standard-8} gpu=${GPU:-nvidia-l4} gpu_count=${GPU_COUNT:-1}

# no_use_multiple_sdk_containers starts one process on each machine, so there is one copy of the model on each GPU.
# It has four threads: one runs the model, the others fetch and decode, each with two child processes.
# The disk holds the image, and the model if the image does not contain it.
exec earmark annotate "$manifest" "$output" \
    --runner=DataflowRunner \
    --project="$PROJECT" \
    --region="$REGION" \
    --job_name="${JOB_NAME:-earmark}" \
    --temp_location="gs://$BUCKET/tmp" \
    --sdk_container_image="$IMAGE" \
    --dataflow_service_options="worker_accelerator=type:$gpu;count:$gpu_count;install-nvidia-driver" \
    --machine_type="$machine" \
    --disk_size_gb="${DISK_GB:-100}" \
    --num_workers="${WORKERS:-1}" \
    --max_num_workers="${MAX_WORKERS:-4}" \
    --number_of_worker_harness_threads=4 \
    --experiments=use_runner_v2 \
    --experiments=no_use_multiple_sdk_containers \
    --device=cuda \
    --decode_processes=2 \
    "$@"
