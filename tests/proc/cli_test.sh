#!/usr/bin/env bash
# What the command-line tools promise to scripts: contexts, siblings, import and export, quorums, JSON.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 3 --replicas 3 || fail "the cluster did not start"

# errs COMMAND...: what it says on stderr alone.
errs() { "$@" 2>&1 >/dev/null; }
same() { [ "$1" = "$2" ] || fail "expected $2, saw $1"; }
context_of() { gt get --context "$1" 2>&1 >/dev/null | sed -n 's/^context //p'; }

echo "a context replaces exactly what was read; two of them race into siblings"
gt put cart base >/dev/null || fail "put"
context=$(context_of cart)
[ -n "$context" ] || fail "expected a context on stderr"
gt put --context "$context" cart left >/dev/null || fail "the first put with the context"
gt put --context "$context" cart right >/dev/null || fail "the second put with the context"
same "$(gt get --all cart | jq -r .value | sort | tr '\n' ' ')" "left right "
same "$(gt get cart 2>/dev/null)" right
same "$(errs gt get cart)" "gtstore: 2 siblings exist; gtstore get --all cart shows them"
same "$(gt -o json get cart 2>/dev/null | jq -c '[.value, .siblings]')" '["right",2]'
expect_exit 4 gt get --strict-one cart
echo "a context of the winner alone does not cover the other"
winner=$(context_of cart)
gt put --context "$winner" cart newer >/dev/null || fail "put over the winner"
same "$(gt get --all cart | jq -r .value | sort | tr '\n' ' ')" "left newer "
echo "a plain put has seen all that its coordinator has"
gt put cart merged >/dev/null || fail "the plain put"
same "$(gt get --all cart | jq -r .value)" merged
expect_exit 0 gt get --strict-one cart
expect_exit 1 gt put --context "$context" another value # of another key

echo "a delete is a state like any other"
gt put gone value >/dev/null && gt delete gone >/dev/null || fail "delete"
expect_exit 3 gt get gone
expect_exit 0 gt delete gone

echo "the first read, modify and write of a key goes by a context too: the empty one"
same "$(context_of fresh)" -
same "$(gt get --all --context fresh 2>&1 | head -n 1)" "context -"
same "$(gt -o json get --context fresh 2>/dev/null | jq -c '[.v, .key, .context]')" '[1,"fresh","-"]'
same "$(gt -o json get --all --context fresh 2>/dev/null | jq -r .context)" -
same "$(gt -o json get fresh 2>/dev/null)" ""
expect_exit 3 gt -o json get --all --context fresh
gt put --context - fresh one >/dev/null && gt put --context - fresh other >/dev/null || fail "put with the empty context"
same "$(gt get --all fresh | jq -r .value | sort | tr '\n' ' ')" "one other " # it replaces nothing
context=$(gt get --all --context fresh 2>&1 >/dev/null | sed -n 's/^context //p')
same "$(gt -o json get --all --context fresh | jq -r .context | uniq)" "$context"
gt put --context "$context" fresh again >/dev/null || fail "put with the context of all"
same "$(gt get --all fresh | jq -r .value)" again
expect_exit 2 gt put --context 'no token!' fresh value
for flag in "put fresh value --context" "delete fresh --context" "get fresh --min-context"; do
  same "$(errs gt $flag "")" "gtstore: ${flag##* }: an empty text is no token; that of an absent key is -; see: gtstore --help"
  expect_exit 2 gt $flag ""
done
same "$(gt get fresh)" again

echo "a tombstone that ranks above a value hides no conflict"
gt put torn 1 >/dev/null && gt put --context - torn 2 >/dev/null && gt delete --context - torn >/dev/null || fail "put"
expect_exit 3 gt get torn
same "$(gt get torn 2>/dev/null)" ""
same "$(errs gt get torn)" "not found: torn
gtstore: 3 siblings exist; gtstore get --all torn shows them"
same "$(gt -o json get torn 2>/dev/null | jq -c '[.v, .siblings, .degraded, .weak, has("value")]')" '[1,3,false,false,false]'
same "$(gt get --all torn | jq -s length)" 3

echo "quorums of one request"
expect_exit 0 gt put -w 3 k v
expect_exit 0 gt get -r 3 k
expect_exit 0 gt get -r 1 k
expect_exit 2 gt get -r 4 k
same "$(errs gt get -r 1 nowhere)" "not found: nowhere
gtstore: weak: a quorum below the cluster's was used"
same "$(gt -o json get -r 1 nowhere 2>/dev/null | jq -c '[.weak, .degraded, .siblings]')" '[true,false,0]'
daemon_kill node3
expect_exit 5 gt --timeout 2s put -w 3 k v2
same "$(gt -o json --timeout 2s put -w 3 k v2 2>/dev/null | jq -c '[.v, .key, .outcome]')" '[1,"k","not_applied"]'
same "$(errs gt put -w 1 k v2)" "gtstore: weak: a quorum below the cluster's was used"
same "$(gt -o json put -w 1 k v2 2>&1 | jq -c '[.outcome, .weak]')" '["done",true]'
expect_exit 5 gt --timeout 2s get -r 3 k
expect_exit 0 gt --timeout 2s get --available -r 3 k
same "$(gt --timeout 2s -o json get --available -r 3 k | jq -c '[.degraded, .unsettled]')" '[true,false]'
same "$(errs gt --timeout 2s get --available -r 3 k)" "gtstore: degraded: fewer than R owners answered"
same "$(errs gt --timeout 2s get --available -r 3 nowhere)" "not found: nowhere
gtstore: degraded: fewer than R owners answered"
same "$(gt --timeout 2s -o json get --available -r 3 nowhere 2>/dev/null | jq -c '[.weak, .degraded]')" '[false,true]'
expect_exit 3 gt --timeout 2s -o json get --available -r 3 nowhere
expect_exit 0 gt get --blocking k
echo "a tombstone has a context like any state, as long as an owner is away for which it stays"
context=$(context_of fresh)
gt delete --context "$context" fresh >/dev/null || fail "delete with the context of the value"
context=$(context_of fresh)
[ ${#context} -gt 1 ] || fail "expected the context of a tombstone, saw '$context'"
same "$(gt -o json get --context fresh 2>/dev/null | jq -r .context)" "$context"
gt put --context "$context" fresh again >/dev/null || fail "put over the tombstone"
same "$(gt get --all fresh | jq -r .value)" again
echo "with one owner of three there is no quorum"
same "$(gt -o json put k v | jq -c '[.outcome, .outranked]')" '["done",false]'
expect_exit 0 gt get k
daemon_kill node2
expect_exit 5 gt --timeout 2s put k v3
expect_exit 5 gt --timeout 2s get k
# The manager notices after three missed heartbeats.
for ((i = 0; i < 200; i++)); do
  [ "$(admin -o json status 2>/dev/null | jq -r .verdict)" != unavailable ] || break
  sleep 0.05 # nanosleep_seam: polls a condition with a bound
done
expect_exit 7 admin status
same "$(admin -o json status 2>/dev/null | jq -r .verdict)" unavailable
node_start node2 && node_start node3 || fail "the nodes did not come back"
cluster_wait || fail "not well"
case $(gt get k) in
  v | v2 | v3) ;; # the last two are in doubt or not applied, and said so
  *) fail "k is lost" ;;
esac

echo "import and export carry any bytes, and siblings"
{
  echo '{"key": "plain", "value": "text with \"quotes\", a \\ and ünïcödé"}'
  echo '{"key64": "AAECA/8=", "value64": "//79AAE="}'
  echo '{"key": "empty", "value": ""}'
  echo '{"key": "two", "siblings": [{"value": "one"}, {"value": "other"}]}'
} >"$scratch/in.jsonl"
gt import "$scratch/in.jsonl" || fail "import"
gt export >"$scratch/out.jsonl" || fail "export"
same "$(jq -r 'select(.key == "plain").value' "$scratch/out.jsonl")" 'text with "quotes", a \ and ünïcödé'
same "$(jq -r 'select(.key64 == "AAECA/8=").value64' "$scratch/out.jsonl")" '//79AAE='
same "$(jq -r 'select(.key == "two").siblings[].value' "$scratch/out.jsonl" | sort | tr '\n' ' ')" "one other "
same "$(gt get empty | wc -c)" 0
same "$(jq -s 'map(select(.key == "gone")) | length' "$scratch/out.jsonl")" 0
echo "what was exported can be imported again"
gt import "$scratch/out.jsonl" || fail "the second import"
echo '{"key": "good", "value": "1"}
not json' >"$scratch/bad.jsonl"
expect_exit 1 gt import "$scratch/bad.jsonl"

echo "the same from any node, and as JSON"
same "$(admin -o json status | jq -c '[.v, .verdict, .replicas, .read_quorum, .write_quorum, (.nodes | length), .partitions.full]')" '[1,"healthy",3,2,2,3,1024]'
same "$(admin -o json -m "${daemon_address[node2]}" status | jq -r .manager)" reachable
same "$(admin -o json nodes | jq '[.nodes[].tokens] | add')" 3072
same "$(admin -o json ring | jq '.ring | length')" 1024
same "$(admin -o json locate plain | jq '.owners | length')" 3
same "$(admin locate plain | wc -l)" 4 # each line ends, the last one too
expect_exit 0 gt ping
expect_exit 0 admin version
for program in gtstore gtstore-admin gtstore-node gtstore-manager gtstore-bench gtstore-check; do
  "$bin/$program" --help >/dev/null || fail "$program --help"
  "$bin/$program" --version >/dev/null || fail "$program --version"
done

echo "the replicas agree, and what happened is told by all"
cluster_wait || fail "not well"
same "$(admin verify)" "equal: 1024 partitions, $(admin -o json verify | jq .keys) keys"
same "$(admin -o json verify | jq -c '[.v, .equal, .partitions, .partitions_equal, .differing, .not_compared]')" '[1,true,1024,1024,[],[]]'
expect_exit 0 admin -m "${daemon_address[node2]}" verify
expect_exit 6 admin -m 127.0.0.1:1 --timeout 1s verify
same "$(admin -o json events | jq -c '[.v, ([.events[].node] | unique)]')" '[1,["manager","node1","node2","node3"]]'
same "$(admin -o json events | jq '[.events[].time] == ([.events[].time] | sort)')" true
[ "$(admin -o json events | jq '[.events[] | select(.event == "node_up" and (.cause | startswith("node3")))] | length')" -gt 0 ] || fail "expected that node3 came back"
admin events | grep -q ' link_lost  *1 node3' || fail "expected that a link to node3 was lost"
expect_exit 6 admin -m 127.0.0.1:1 --timeout 1s events
daemon_kill node3
expect_exit 7 admin verify
case $(admin verify 2>/dev/null) in
  "not compared: node3: 1024 partitions: unreachable") ;;
  *) fail "expected that node3 is named" ;;
esac
same "$(admin -o json verify 2>/dev/null | jq -c '[.equal, .not_compared]')" '[false,[{"label":"node3","partitions":1024,"cause":"unreachable"}]]'
same "$(admin events 2>&1 >/dev/null)" "gtstore-admin: node3 did not answer: unreachable"
same "$(admin -o json events 2>/dev/null | jq -c .not_answered)" '[{"label":"node3","cause":"unreachable"}]'
node_start node3 && cluster_wait || fail "node3 did not come back"

echo "a node that was stopped is down, also when the manager is gone and nodes alone can tell"
daemon_end node2 STOP
daemon_kill manager
seen_of_node2() {
  admin -o json -m "${daemon_address[node1]}" status 2>/dev/null | jq -r '.nodes[] | select(.label == "node2").state'
}
for ((i = 0; i < 200; i++)); do
  [ "$(seen_of_node2)" != down ] || break
  sleep 0.05 # nanosleep_seam: polls a condition with a bound
done
same "$(seen_of_node2)" down
expect_exit 7 admin -m "${daemon_address[node1]}" status
daemon_end node2 CONT
manager_start && cluster_wait || fail "not well after the manager came back"
expect_exit 2 "$bin/gtstore-check" "$scratch/nowhere"

echo "the bench writes the CSV that scripts read"
"$bin/gtstore-bench" --workload mixed --keys 200 --ops 2000 --clients 2 --in-flight 4 --csv "$scratch/bench.csv" >/dev/null || fail "bench"
same "$(head -n 1 "$scratch/bench.csv")" time_s,op,count,ops_per_s,mean_us,p50_us,p90_us,p99_us,p999_us,max_us,errors
same "$(awk -F, '$1 == "total" { n += $3; e += $11 } END { print n, e }' "$scratch/bench.csv")" "2000 0"

echo "a deleted sibling is a conflict too, and importing an export twice changes nothing"
gt put half a >/dev/null && context=$(context_of half) && gt put half b >/dev/null || fail "put"
gt delete --context "$context" half >/dev/null || fail "delete with an old context"
expect_exit 4 gt get --strict-one half
gt export | sort >"$scratch/once.jsonl"
gt import "$scratch/once.jsonl" && gt export | sort >"$scratch/twice.jsonl" || fail "import and export"
same "$(jq -c 'if .siblings then .siblings |= sort_by(.value) else . end' "$scratch/twice.jsonl" | sort | sha256sum)" \
  "$(jq -c 'if .siblings then .siblings |= sort_by(.value) else . end' "$scratch/once.jsonl" | sort | sha256sum)"

echo "a program that was started with a closed descriptor keeps it out of its files"
expect_exit 0 bash -c '"$0" get half --all <&-' "$bin/gtstore"
expect_exit 0 bash -c '"$0" status 2>&-' "$bin/gtstore-admin"
echo "and what it cannot read or write is a failure, said with its cause in one line"
# says CODE LINE SHELL-COMMAND: with $b as the folder of the programs.
says() {
  local code=0 seen
  seen=$(b=$bin bash -c "$3" 2>&1) || code=$?
  printf '%-48s saw exit %s: %s\n' "$3" "$code" "$seen"
  [ "$code" = "$1" ] && [ "$seen" = "$2" ] || fail "expected exit $1 and: $2"
}
gt put half whole >/dev/null || fail "put"
says 1 'gtstore: cannot read the value from stdin: Bad file descriptor' '$b/gtstore put half - <&-'
says 1 'gtstore: cannot read the value from stdin: Is a directory' '$b/gtstore put half - </'
same "$(gt get half)" whole
says 1 'gtstore: stdin: Bad file descriptor' '$b/gtstore import - <&-'
head -c 100000 /dev/zero | gt put large - >/dev/null || fail "put" # more than a stream buffers
for verb in "get half" "get large" "-o json get half" "-o json get large" export ping; do
  says 1 'gtstore: stdout: Bad file descriptor' "\$b/gtstore $verb >&-"
  says 1 'gtstore: stdout: No space left on device' "\$b/gtstore $verb >/dev/full"
done
for verb in ring "-o json ring" status "-o json status" "locate half" verify "-o json verify" events version; do
  says 1 'gtstore-admin: stdout: Bad file descriptor' "\$b/gtstore-admin $verb >&-"
  says 1 'gtstore-admin: stdout: No space left on device' "\$b/gtstore-admin $verb >/dev/full"
done
for program in gtstore gtstore-admin gtstore-node gtstore-manager gtstore-bench gtstore-check; do
  for flag in --help --version; do
    says 1 "$program: stdout: Bad file descriptor" "\$b/$program $flag >&-"
    says 1 "$program: stdout: No space left on device" "\$b/$program $flag >/dev/full"
  done
done
