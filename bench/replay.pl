# `replay.pl CALLS SCHROOT`: makes the calls, one after the other as sbuild(1) does, and prints `ACTION MICROSECONDS`
# for each. A call that ends otherwise than it did then ends this.
use strict;
use warnings;
use POSIX qw(_exit);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($calls, $schroot) = @ARGV;
my $control = "Package: dummy\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody\@localhost>\nDescription: none\n";
my $id = '';
open my $list, '<', $calls or die "$calls: $!\n";
while (<$list>) {
    chomp;
    my ($expected, @words) = split /\t/;
    s/\$SID/$id/ for @words;
    my ($action) = grep { s/^--(info|(?:begin|run|end)-session)$/$1/ } my @copy = @words;
    # What sbuild writes into the session comes through a pipe.
    pipe my $in, my $feed or die;
    pipe my $out, my $answer or die;
    syswrite $feed, $words[-1] =~ /^cat > / ? $control : '';
    close $feed;
    my $start = clock_gettime(CLOCK_MONOTONIC);
    my $pid = fork // die;
    if (!$pid) {
        open STDIN, '<&', $in;
        open STDOUT, '>&', $answer if $action eq 'begin-session';
        open STDOUT, '>', '/dev/null' if $action ne 'begin-session';
        open STDERR, '>', '/dev/null' if $expected;
        exec $schroot, @words or _exit(255);
    }
    waitpid $pid, 0;
    my $status = $? >> 8 || $?;
    printf "%s %d\n", $action, (clock_gettime(CLOCK_MONOTONIC) - $start) * 1e6;
    close $answer;
    chomp($id = <$out>) if $action eq 'begin-session';
    die "status $status instead of $expected: @words\n" if $status != $expected;
}
