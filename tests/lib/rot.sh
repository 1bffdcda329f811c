# Sourced by scripts that let bits rot in the files of nodes, beside cluster.sh.

# bit_flip FILE SEED [PATTERN]: one bit, as the seed has it, anywhere or in what the pattern matches;
# says where. The file may be in use.
bit_flip() {
  perl -e '
    my ($path, $seed, $pattern) = @ARGV;
    srand $seed;
    open my $f, "+<:raw", $path or die "$path: $!";
    my $file = do { local $/; <$f> };
    my @spans = ([0, length $file]);
    if (defined $pattern) { @spans = (); push @spans, [$-[0], $+[0] - $-[0]] while $file =~ /$pattern/g; }
    my $span = $spans[rand @spans] or die "$path: there is nothing that matches $pattern";
    my ($at, $bit) = ($span->[0] + int rand $span->[1], int rand 8);
    sysseek $f, $at, 0;
    syswrite($f, substr($file, $at, 1) ^ chr(1 << $bit)) == 1 or die "$path: $!";
    print "bit $bit of byte ", $at % 4096, " of page ", int($at / 4096), "\n";' "$@"
}

# byte_flip FILE OFFSET: the lowest bit of that byte, so that another one stands there whatever it was.
byte_flip() {
  perl -e '
    my ($path, $at) = @ARGV;
    open my $f, "+<:raw", $path or die "$path: $!";
    sysseek $f, $at, 0;
    sysread($f, my $byte, 1) == 1 or die "$path: no byte $at";
    sysseek $f, $at, 0;
    syswrite($f, $byte ^ "\1") == 1 or die "$path: $!";' "$@"
}

# text_flip FILE SEED TEXT: one bit of the text, the same one wherever it stands in the file.
text_flip() {
  perl -e '
    my ($path, $seed, $text) = @ARGV;
    srand $seed;
    my ($at, $bit) = (int rand length $text, int rand 8);
    open my $f, "+<:raw", $path or die "$path: $!";
    my $file = do { local $/; <$f> };
    my @places;
    push @places, $-[0] while $file =~ /\Q$text\E/g;
    @places or die "$path: nowhere is $text";
    for my $place (@places) {
      sysseek $f, $place + $at, 0;
      syswrite($f, substr($text, $at, 1) ^ chr(1 << $bit)) == 1 or die "$path: $!";
    }
    print "bit $bit of byte $at of \"$text\", ", scalar @places, " times\n";' "$@"
}

# key_flip FILE SEED KEY TEXT: one bit of the hash before the key, in the entry of the index whose value has
# the text: no search finds it where it lies, and others are led astray by it.
key_flip() {
  perl -e '
    my ($path, $seed, $key, $text) = @ARGV;
    srand $seed;
    my ($at, $bit) = (int rand 8, int rand 8);
    open my $f, "+<:raw", $path or die "$path: $!";
    my $file = do { local $/; <$f> };
    my $times = 0;
    while ($file =~ /\Q$text\E/g) {
      my $place = rindex $file, $key, $-[0] - length $key;
      next if $place < 8 || $-[0] - $place > 200;
      sysseek $f, $place - 8 + $at, 0;
      syswrite($f, substr($file, $place - 8 + $at, 1) ^ chr(1 << $bit)) == 1 or die "$path: $!";
      $times++;
    }
    $times or die "$path: nowhere is $key before $text";
    print "bit $bit of byte $at of the hash of $key, $times times\n";' "$@"
}

# rot_told FOLDER: gtstore-check calls the folder damaged, and says of what; its lines are in $scratch/check.
rot_told() {
  local code=0
  "$bin/gtstore-check" "$@" >"$scratch/check" 2>&1 || code=$?
  [ "$code" = 1 ] || fail "gtstore-check ends with $code: $(tail -n 1 "$scratch/check")"
  grep -q '^damaged: ' "$scratch/check" || fail "gtstore-check does not say what is damaged"
}

# salvaged_pairs FILE: what gtstore-check --salvage wrote, as KEY=VALUE, sorted as bytes.
salvaged_pairs() { jq -r '(.key64 | @base64d) + "=" + (.value64 | @base64d)' "$1" | LC_ALL=C sort; }

# log_is_calm LABEL: no crash, and nothing that a sanitizer has to say.
log_is_calm() {
  ! grep -E 'AddressSanitizer|runtime error|assert' "$scratch/$1.log" || fail "$1 crashed"
}
