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
for ((i = 0; i < 4; i++)); do gt put --context - torn - <"$scratch/big" >/dev/null || fail "a sibling of the limit"; done
one_line 2 'over the limit of 4194304 bytes in siblings: gtstore get --all --context KEY, then put with that context; not applied$' \
  gt put --context - torn more
context=$(gt get --all --context torn 2>&1 >/dev/null | sed -n 's/^context //p')
expect_exit 0 gt put --context "$context" torn one
expect one gt get torn
expect_exit 0 gt delete torn
one_line 2 '.' gt frobnicate
one_line 2 '.' gt put only-a-key
one_line 2 '.' gt --no-such-flag get k
one_line 2 '.' gt -r 17 get k
one_line 2 'R=4 asked of 3 owners$' gt get -r 4 k
one_line 2 'W=4 asked of 3 owners; not applied$' gt put -w 4 k v
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
node_flag() { one_line 2 "$1" "$n" --data-dir "$scratch/x" --manager "$manager" "${@:2}"; }
node_flag 'from 0.001 to 1000 ' --capacity 0
node_flag 'from 0.001 to 1000 ' --capacity nan
node_flag 'from 64.0 KiB to 1.0 GiB ' --wal-segment 1KiB
node_flag 'from 64.0 KiB to 1.0 GiB ' --wal-segment 2GiB
node_flag 'from 1.0 MiB to ' --map-size 1
node_flag 'a time like ' --join-timeout never
node_flag '1 to 63 letters' --label -x
node_flag '1 to 63 letters' --zone ''
node_flag 'what the manager is called' --label manager
node_flag 'HOST:PORT' --listen nowhere
node_flag 'error, warn, info or debug' --log-level loud
node_flag 'unrecognized option' --no-such-flag
node_flag 'unexpected argument' more
[ ! -e "$scratch/x" ] || fail "a wrong flag made a folder"
touch "$scratch/a-file"
one_line 1 '.' "$n" --data-dir "$scratch/a-file" --manager "$manager"
one_line 2 'advertise' "$n" --data-dir "$scratch/wild" --manager "$manager" --listen 0.0.0.0:0

check_flag() { one_line 2 "$1" "$bin/gtstore-check" "${@:2}"; }
check_flag 'unknown flag --bogus' --bogus
check_flag 'unknown flag -x' "$scratch/node1" -x
check_flag 'unexpected argument more' "$scratch/node1" more
check_flag 'salvage needs a file' "$scratch/node1" --salvage
check_flag 'data folder .* is needed'
echo '{"key": "single", "value": "1"}' >"$scratch/single.jsonl"
one_line 0 '^imported 1 record$' gt import "$scratch/single.jsonl"
expect_exit 0 gt delete single

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
one_line 1 "is a node's folder, not a manager's" "$m" --data-dir "$scratch/second/stranger" --listen 127.0.0.1:0
one_line 1 "is a manager's folder, not a node's" "$n" --data-dir "$scratch/second/manager" --manager "$manager"

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

echo "-- may stand before the verb; what follows the verb is then no flag"
expect_exit 0 gt -- put -k dashed
[ "$(gt -- get -k)" = dashed ] || fail "expected the value of -k"
[ "$(gt -m "$manager" -- get -k)" = dashed ] || fail "expected the value of -k"
expect_exit 0 admin -- status
expect_exit 0 admin -- locate -k
expect_exit 2 gt --
expect_exit 2 admin -- locate
expect_exit 2 gt -- get

echo "control bytes of a key are shown, not sent to the terminal"
key=$'\e[31mred\a'
one_line 3 'not found: \\x1b\[31mred\\x07$' gt get "$key"
expect_exit 0 gt put "$key" v
context=$(gt get --context "$key" 2>&1 >/dev/null | sed -n 's/^context //p')
gt put --context "$context" "$key" v1 >/dev/null && gt put --context "$context" "$key" v2 >/dev/null || fail "siblings"
one_line 4 '^gtstore: \\x1b\[31mred' gt get --strict-one "$key"
one_line 2 'unknown verb \\x1b' gt $'\e[1m'
! admin locate "$key" | grep -q $'[\e\a]' || fail "locate sends control bytes of the key"

echo "files that the bench cannot write are refused before the load"
bench() { one_line 1 "$1" "$bin/gtstore-bench" --workload put --keys 50 --ops 50 "${@:2}"; }
bench 'cannot write .*/nowhere/x.csv: No such file' --csv "$scratch/nowhere/x.csv"
if command -v gnuplot >/dev/null; then
  bench 'cannot write .*/nowhere/x.png: No such file' --plot "$scratch/nowhere/x.png"
else
  bench 'needs gnuplot' --plot "$scratch/nowhere/x.png"
fi
expect_exit 3 gt get key000000000007 # the first phase of a bench puts it
