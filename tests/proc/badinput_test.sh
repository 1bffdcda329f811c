#!/usr/bin/env bash
# Bad input and bad surroundings: one clear line, the right exit code, nothing lost, no wait for ever.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 3 --replicas 3 || fail "the cluster did not start"

# one_line CODE PATTERN COMMAND...: exit code, exactly one or two lines on stderr, matching.
one_line() {
  local wanted=$1 pattern=$2 code=0 err
  shift 2
  case $1 in
    gt) set -- "$bin/gtstore" "${@:2}" ;;
    admin) set -- "$bin/gtstore-admin" "${@:2}" ;;
  esac
  # A daemon's log lines begin with the time; the message is what remains.
  err=$(timeout 60 "$@" 2>&1 >/dev/null </dev/null; echo "exit $?")
  code=${err##*exit }
  err=$(grep -vE '^[0-9]{4}-[0-9-]+T[0-9:.]+Z |^exit [0-9]+$' <<<"$err")
  printf '%-60s exit %s: %s\n' "${*##*/}" "$code" "${err:0:150}" | cut -c 1-230
  [ "$code" = "$wanted" ] || fail "expected exit $wanted, saw $code: $err"
  [ "$(wc -l <<<"$err")" -le 2 ] || fail "expected one or two lines, saw: $err"
  grep -qE -- "$pattern" <<<"$err" || fail "expected a line like $pattern, saw: $err"
}

key480=$(printf 'k%.0s' {1..480})
expect_exit 0 gt put "$key480" v
expect_exit 0 gt get "$key480"
one_line 2 'key' gt put "${key480}k" v
one_line 2 'key' gt put '' v
one_line 2 'key' gt get ''
one_line 3 'not found: nothing' gt get nothing
head -c $((1 << 20)) /dev/zero >"$scratch/big"
gt put big - <"$scratch/big" || fail "a value of exactly the limit was refused"
gt get big | cmp - "$scratch/big" || fail "the big value does not read back"
{ cat "$scratch/big"; echo; } >"$scratch/bigger"
too_big() { "$bin/gtstore" put big - <"$scratch/bigger"; }
err=$(too_big 2>&1); code=$?
[ $code = 2 ] || fail "expected exit 2 for a value over the limit, saw $code: $err"
gt get big | cmp - "$scratch/big" || fail "the refused put changed the value"
one_line 2 '.' gt frobnicate
one_line 2 '.' gt put only-a-key
one_line 2 '.' gt --no-such-flag get k
one_line 2 '.' gt -r 17 get k
one_line 1 'context' gt put k v --context bm8gY29udGV4dA
one_line 6 'reach' gt -m 127.0.0.1:1 --timeout 1s get k
one_line 2 '.' gt -m nonsense get k
one_line 6 'reach' admin -m 127.0.0.1:1 --timeout 1s status
one_line 2 '.' admin frobnicate

m="$bin/gtstore-manager" n="$bin/gtstore-node"
one_line 2 'W *\+ *R *> *N' "$m" --data-dir "$scratch/m2" --replicas 3 --read-quorum 1 --write-quorum 2
one_line 2 '2 ?W *> *N' "$m" --data-dir "$scratch/m2" --replicas 4 --read-quorum 4 --write-quorum 2
one_line 2 '.' "$m" --data-dir "$scratch/m2" --replicas 17
one_line 2 'data-dir' "$m"
one_line 2 'manager' "$n" --data-dir "$scratch/x"
one_line 2 'data-dir' "$n" --manager "$manager"
one_line 1 'in use' "$m" --data-dir "$scratch/m3" --listen "$manager"
one_line 1 'in use.*pid' "$m" --data-dir "$scratch/manager" --listen 127.0.0.1:0
one_line 1 'in use.*pid' "$n" --data-dir "$scratch/node1" --manager "$manager"
one_line 1 'label' "$n" --data-dir "$scratch/other" --manager "$manager" --label node1
one_line 6 'manager|reach' "$n" --data-dir "$scratch/lonely" --manager 127.0.0.1:1 --join-timeout 1s
touch "$scratch/a-file"
one_line 1 '.' "$n" --data-dir "$scratch/a-file" --manager "$manager"
one_line 2 'advertise' "$n" --data-dir "$scratch/wild" --manager "$manager" --listen 0.0.0.0:0

echo "a node of another cluster is refused"
mkdir "$scratch/second"
(
  scratch=$scratch/second manager_listen=
  trap 'status=$?; trap - EXIT; cluster_kill; exit $status' EXIT
  unset manager_listen
  manager_listen=127.0.0.1:0
  daemon_pid=()
  manager_start --replicas 1 --form-nodes 1 --form-after 0.1s || exit 1
  node_start stranger || exit 1
  cluster_wait || exit 1
  daemon_stop stranger
) || fail "the second cluster did not start"
one_line 1 'cluster' "$n" --data-dir "$scratch/second/stranger" --manager "$manager" --listen 127.0.0.1:0
one_line 1 '.' "$m" --data-dir "$scratch/second/stranger" --listen 127.0.0.1:0

echo "settings that differ are refused with both values"
daemon_stop manager
one_line 2 '3.*5|5.*3' "$m" --data-dir "$scratch/manager" --listen "$manager" --replicas 5
manager_start || fail "the manager did not come back"

echo "garbage on the wire harms nobody"
port=${daemon_address[node1]##*:}
for ((i = 0; i < 20; i++)); do
  head -c 500 /dev/urandom >"/dev/tcp/127.0.0.1/$port" || fail "node1 does not listen"
done
printf '\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00' >"/dev/tcp/127.0.0.1/$port"
printf '\x05\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\xff\xff\xff\xff' >"/dev/tcp/127.0.0.1/$port"
daemon_alive node1 || fail "node1 died of garbage"
cluster_wait || fail "not well after garbage"
gt get big | cmp - "$scratch/big" || fail "the big value is gone"

echo "odd keys are keys"
for key in -- '-k' ' ' $'tab\there' $'line\nbreak' 'ключ' '"quoted"' '\'; do
  gt put -- "$key" "value of $key" || fail "put of an odd key failed"
  [ "$(gt get -- "$key")" = "value of $key" ] || fail "an odd key does not read back"
done
gt export >"$scratch/export.jsonl" || fail "the export failed"
[ "$(jq -s length "$scratch/export.jsonl")" = 10 ] || fail "expected 10 lines of export, saw $(wc -l <"$scratch/export.jsonl")"
