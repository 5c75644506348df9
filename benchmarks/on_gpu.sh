#!/usr/bin/env bash
# One stage of what a card is for: benchmarks/on_gpu.sh STAGE OUT, STAGE one of tests, bench, trial, train.
# Each ends by itself within LIMIT seconds (470 unless set); the same call goes on from what is in WORK (OUT/work unless set). Needs no network,
# streamlit, captum or plotly. DATA is the folder of photographs and TEACHER the file of EfficientNet-Lite0's weights, for trial and train.
set -uo pipefail
stage=${1:?STAGE}
out=${2:?OUT}
root=$(cd "$(dirname "$0")/.." && pwd)
export OUT=$out WORK=${WORK:-$out/work} DATA=${DATA:-$root/data} TEACHER=${TEACHER:-$root/teacher.safetensors} LIMIT=${LIMIT:-470}
export DEVICE=${DEVICE:-cuda} PYTHONUNBUFFERED=1 PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} JOBS=${JOBS:-4}
started=$SECONDS
mkdir -p "$out" "$WORK"
left() { echo $((LIMIT - (SECONDS - started))); }

answers() {
  [ "${KIND:-card-alone}" = card ] || return 0
  # The teacher answers once for all models.
  [ -f "$WORK/answers.pt" ] || timeout "$(left)" python3 "$root/benchmarks/teacher_answers.py" "$DATA" "$TEACHER" "$WORK/answers.pt" "$DEVICE"
}

train_one() {
  # KIND NAME: takes up its run in WORK and ships into WORK/weights when it is whole.
  local kind=$1 name=$2 teacher=()
  [ "$kind" = card ] && teacher=(--teacher "$TEACHER" --answers "$WORK/answers.pt")
  [ -f "$WORK/weights/$name.json" ] && return
  timeout $((STOP + 60)) python3 -m vizlib train "$name" --data "$DATA" --out "$WORK/$name" --recipe "$kind" --device "$DEVICE" "${teacher[@]}" \
    --stop-after "$STOP" ${EPOCHS:+--epochs "$EPOCHS"} $([ -z "${EPOCHS:-}" ] && echo --ship "$WORK/weights") \
    > >(tee -a "$OUT/train.log" >/dev/null) 2>>"$OUT/$name.log"
  tail -n 2 "$OUT/$name.log"
}
export -f train_one

case $stage in
tests)
  timeout "$(left)" python3 -m pytest -q -p no:cacheprovider "$root/tests/gpu" -n 4 2>&1 | tee "$out/tests.log" | tail -n 60
  ;;
bench)
  timeout "$(left)" python3 "$root/benchmarks/maps_per_second.py" --device "$DEVICE" --seconds $(($(left) - 60)) >"$out/maps_per_second.json"
  ;;
trial)
  answers
  timeout "$(left)" python3 "$root/benchmarks/trial.py" "$DATA" "$TEACHER" "$WORK" "$DEVICE" 2>&1 | tee "$out/trial.log"
  ;;
train)
  answers
  export STOP=$(($(left) - 50))
  printf '%s\n' ${MODELS:-t2t_t_tiny50 t2t_tiny50 vit_tiny50 compact_vit_tiny50 cvt_tiny50 pvt_tiny50 cct_tiny50 resnet_tiny50} |
    xargs -P "$JOBS" -I{} bash -c 'train_one '"${KIND:-card-alone}"' {}'
  cd "$WORK/weights" 2>/dev/null || exit 0
  # Three models a tar, under 16 MB each.
  ls ./*.json 2>/dev/null | sed 's/\.json$//' | xargs -n 3 | awk '{print NR, $0}' | while read -r number names; do
    tar -cf "$out/weights-$number.tar" $(for name in $names; do echo "$name.json" "$name.safetensors"; done)
  done
  ;;
*)
  echo "There is no stage called $stage: choose tests, bench, trial or train." >&2
  exit 2
  ;;
esac
