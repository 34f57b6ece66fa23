# What Perl's Net::SFTP::Foreign has, at a server. It starts OpenSSH's ssh.
#
# net_sftp_foreign.pl HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.

use strict;
use warnings;
use Fcntl qw(S_ISDIR);
use Net::SFTP::Foreign;
use Net::SFTP::Foreign::Constants qw(:flags);

my ($host, $port, $user, $key, $known_hosts, $top) = @ARGV;
my $content = join '', map { pack 'N', $_ } 1 .. 250_000;
my $sftp = Net::SFTP::Foreign->new(
    host => $host, port => $port, user => $user,
    more => ['-F', 'none', '-i', $key, '-o', "UserKnownHostsFile=$known_hosts", '-o', 'BatchMode=yes',
        '-o', 'IdentitiesOnly=yes'],
);

sub check {
    my ($holds, $what) = @_;
    $holds or die "$what: " . $sftp->error . "\n";
}

check(!$sftp->error, 'connecting');
check($sftp->setcwd($top), 'setcwd');
check($sftp->put_content($content, 'data'), 'put_content');
check($sftp->get_content('data') eq $content, 'get_content');

open my $local, '>', 'local' or die $!;
print $local $content;
close $local;
check($sftp->put('local', 'file', queue_size => 100, block_size => 20_000), 'put');
check($sftp->put('local', 'atomic', atomic => 1), 'an atomic put');
check($sftp->put('local', 'perms', perm => 0640, copy_time => 1), 'put with a mode');
check(($sftp->stat('perms')->perm & 0777) == 0640, 'the mode');
check($sftp->get('file', 'back', queue_size => 100), 'get');
check(-s 'back' == length $content, 'what was got');
# The second half, after a first that is there.
check($sftp->put_content(substr($content, 0, 300_000), 'resumed'), 'the first half');
check($sftp->put('local', 'resumed', resume => 1), 'resume');
check($sftp->get_content('resumed') eq $content, 'what was resumed');

my $file = $sftp->open('handle', SSH2_FXF_READ | SSH2_FXF_WRITE | SSH2_FXF_CREAT);
check($file, 'open');
print $file "one\ntwo\n";
check($sftp->seek($file, 0, 0), 'seek');
check(join('', <$file>) eq "one\ntwo\n", 'reading back');
check($sftp->fsync($file), 'fsync');
close $file;

check($sftp->mkpath('d/e/f'), 'mkpath');
check($sftp->put_content($_, "d/$_"), $_) for 'one', 'two words', 'three';
check(join(',', map { $_->{filename} } @{ $sftp->ls('d', ordered => 1, no_wanted => qr/^\./) })
    eq 'e,one,three,two words', 'ls');
check(scalar(grep { /t/ } $sftp->glob('d/t*', names_only => 1)) == 2, 'glob');
check($sftp->rget('d', 'd'), 'rget');
check($sftp->rput('d', 'again'), 'rput');
check($sftp->get_content('again/two words') eq 'two words', 'what rput carried');
check(scalar($sftp->find('again', wanted => sub { !S_ISDIR($_[1]->{a}->perm) })) == 3, 'find');
check($sftp->rremove('again') > 0, 'rremove');
check(!$sftp->test_e('again'), 'what rremove left');

check($sftp->symlink('soft', 'data'), 'symlink');
check($sftp->readlink('soft') eq 'data', 'readlink');
check($sftp->hardlink('hard', 'data'), 'hardlink');
check($sftp->statvfs('.')->{bsize} > 0, 'statvfs');
check($sftp->truncate('hard', 10) && $sftp->stat('data')->size == 10, 'truncate');
check($sftp->utime('data', 1_000_000_000, 1_100_000_000), 'utime');
check($sftp->stat('data')->mtime == 1_100_000_000, 'the time');
check($sftp->rename('file', 'data', overwrite => 1), 'rename over a file');
check($sftp->realpath('d/../d/e/.') =~ m{/d/e$}, 'realpath');
check(!$sftp->get('none', 'x') && $sftp->error =~ /No such file/i, 'get of what is missing');
check(!$sftp->rmdir('d') && $sftp->status == 4, 'rmdir of a full folder');
