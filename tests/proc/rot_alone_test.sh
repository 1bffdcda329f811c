#!/usr/bin/env bash
# The only copy rots: bits of a dozen records, and the head of a leaf page, of a node that is stopped and
# has no other owners. It starts, serves all other keys, and says of what is lost that it is lost: never
# another value, never "not found". The log, an event and gtstore-check name the partitions; --salvage
# writes all other keys, and an import brings them back in a fresh cluster.
# Usage: rot_alone_test.sh BIN [SEED]
set -uo pipefail
bin=$1 seed=${2:-1}
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib/rot.sh"
keys=600 rotten=12
scratch_begin
segment=1MiB
cluster_start 1 --replicas 1 --partitions 16 || fail "the cluster did not start"
for ((i = 1000; i < 1000 + keys; i++)); do
  printf '{"key": "name%d", "value": "value of name%d, so long that a page holds a few dozen"}\n' $i $i
done >"$scratch/all.jsonl"
gt import "$scratch/all.jsonl" || fail "not imported"
jq -r '.key + "=" + .value' "$scratch/all.jsonl" | LC_ALL=C sort >"$scratch/written"
# All records are in the index after a start that replays the log and an orderly stop.
daemon_stop node1 && node_start node1 && cluster_wait && daemon_stop node1 || fail "node1 does not start again"

# Which keys may be lost, to $scratch/struck: the chosen ones, and all on the page of one more.
perl -e '
  my ($path, $seed, $keys, $count) = @ARGV;
  srand $seed;
  open my $f, "+<:raw", $path or die "$path: $!";
  my $file = do { local $/; <$f> };
  my (%pages, %struck);
  push @{$pages{$1}}, $-[0] while $file =~ /value of name(\d{4}), so long/g;
  keys(%pages) == $keys or die "not all records are in the index";
  while (keys(%struck) < $count) {
    my $key = 1000 + int rand $keys;
    next if $struck{$key}++;
    substr($file, $_ + int rand 20, 1) ^= chr(1 << int rand 8) for @{$pages{$key}};
  }
  my $torn = 1000 + int rand $keys;
  for my $at (@{$pages{$torn}}) {
    my $page = int($at / 4096);
    for my $key (keys %pages) { $struck{$key}++ if grep { int($_ / 4096) == $page } @{$pages{$key}} }
    substr($file, $page * 4096 + 10, 1) ^= "\x01"; # no leaf any more
  }
  seek $f, 0, 0;
  print $f $file or die;
  close $f or die "$path: $!";
  print "name$_\n" for sort keys %struck;' "$scratch/node1/index/data.mdb" "$seed" $keys $rotten \
  >"$scratch/struck" || fail "nothing rotted"

# What can be read, and so what is lost.
rot_told "$scratch/node1" --salvage "$scratch/saved"
cat "$scratch/check"
salvaged_pairs "$scratch/saved" >"$scratch/pairs"
[ -z "$(LC_ALL=C comm -13 "$scratch/written" "$scratch/pairs")" ] || fail "salvaged what nobody wrote"
LC_ALL=C comm -23 "$scratch/written" "$scratch/pairs" | cut -d = -f 1 >"$scratch/lost"
echo "$(wc -l <"$scratch/lost") of $keys keys are lost, $(wc -l <"$scratch/struck") were struck"
[ "$(wc -l <"$scratch/lost")" -gt $rotten ] || fail "too few keys are lost: the page was not struck"
[ -z "$(LC_ALL=C comm -23 "$scratch/lost" "$scratch/struck")" ] || fail "keys are lost that were not struck"
grep -q '^damaged: index: records cannot be read from .*partition.* to ' "$scratch/check" || fail "no range is named"

node_start node1 || fail "node1 does not start"
lost_is_refused() { # KEY
  local code=0 seen
  seen=$(gt get --timeout 5s "$1" 2>&1) || code=$?
  case $code in
    0 | 3) fail "$1 is lost, and a read ends with $code: $seen" ;;
  esac
  refusal="exit $code: $seen"
}
while read -r key; do lost_is_refused "$key"; done <"$scratch/lost"
echo "a read of what is lost: $refusal"
while IFS='=' read -r key value; do
  [ "$(gt get "$key")" = "$value" ] || fail "$key is not what was written"
done < <(awk 'NR % 40 == 0' "$scratch/pairs")

# All partitions of what is lost are named: by gtstore-check, by the log, by events. `locate` knows them.
while read -r key; do
  admin -o json locate "$key" | jq .partition
done <"$scratch/lost" | sort -nu >"$scratch/partitions"
[ -s "$scratch/partitions" ] && ! grep -qv '^[0-9]*$' "$scratch/partitions" || fail "no partitions are told"
partition_checked() { # NUMBER
  perl -ne 'exit 1 if /^damaged: partitions (\d+)-(\d+):/ && $1 <= '"$1"' && '"$1"' <= $2' "$scratch/check" && return 1
  return 0
}
events_of_rot() {
  admin -o json events | jq -r '.events[] | select(.event == "bad_record") | .cause' >"$scratch/events"
}
page_told() { events_of_rot && grep -q 'partition [0-9]*, a page of the index: keys of hash .* are unknown' "$scratch/events"; }
poll 300 page_told || fail "no event names the range that is lost"
grep 'a page of the index' "$scratch/events"
while read -r partition; do
  partition_checked "$partition" || fail "gtstore-check does not name partition $partition"
  grep -q "record unreadable partition=$partition " "$scratch/node1.log" || fail "the log does not name partition $partition"
  grep -q "^partition $partition, " "$scratch/events" || fail "no event names partition $partition"
done <"$scratch/partitions"
daemon_alive node1 || fail "node1 has ended"
log_is_calm node1

# Away with it: a fresh cluster has all the other keys.
cluster_stop
rm -rf "${scratch:?}/node1" "${scratch:?}/manager"
manager_listen=
cluster_start 1 --replicas 1 || fail "the fresh cluster did not start"
gt import "$scratch/saved" || fail "what was saved is not imported"
gt export | jq -r '.key + "=" + .value' | LC_ALL=C sort | cmp -s - "$scratch/pairs" || fail "not all that was saved is back"
