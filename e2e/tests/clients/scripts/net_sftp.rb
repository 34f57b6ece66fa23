# What Ruby's net-sftp has, at a server.
#
# net_sftp.rb HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.

require 'net/sftp'

host, port, user, key, known_hosts, top = ARGV
CONTENT = (0...250_000).to_a.pack('N*')

def check(holds, what)
  raise what unless holds
end

def refused(code)
  yield
  raise 'it was not refused'
rescue Net::SFTP::StatusException => e
  check(e.code == code, e.message)
end

options = { port: port.to_i, keys: [key], keys_only: true, config: false, user_known_hosts_file: [known_hosts],
            global_known_hosts_file: [], verify_host_key: :always, use_agent: false, non_interactive: true }
Net::SFTP.start(host, user, options) do |sftp|
  at = ->(name) { File.join(top, name) }
  File.binwrite('local', CONTENT)
  sftp.upload!('local', at['data'])
  check(sftp.download!(at['data']).b == CONTENT, 'the content')
  sftp.download!(at['data'], 'back', requests: 16, read_size: 20_000)
  check(File.binread('back') == CONTENT, 'what was got')
  Dir.mkdir('tree')
  %w[one two\ words].each { |name| File.write("tree/#{name}", name) }
  sftp.upload!('tree', at['tree'], mkdir: true)
  sftp.download!(at['tree'], 'again', recursive: true)
  check(File.read('again/two words') == 'two words', 'the tree')
  names = sftp.dir.entries(at['tree']).map(&:name).sort
  check(names == ['.', '..', 'one', 'two words'], names.inspect)
  check(sftp.dir.glob(at['tree'], '*words').map(&:name) == ['two words'], 'glob')
  sftp.file.open(at['tree/lines'], 'w') { |file| file.puts('one', 'two') }
  check(sftp.file.open(at['tree/lines'], 'r', &:gets) == "one\n", 'gets')
  sftp.setstat!(at['data'], permissions: 0o640, mtime: 1_000_000_000, atime: 1_000_000_000)
  told = sftp.stat!(at['data'])
  check(told.permissions & 0o777 == 0o640 && told.mtime == 1_000_000_000, 'setstat')
  sftp.symlink!('data', at['soft'])
  check(sftp.readlink!(at['soft']).name == 'data', 'readlink')
  sftp.rename!(at['data'], at['renamed'])
  check(sftp.realpath!(at['tree/../renamed']).name == at['renamed'], 'realpath')
  refused(2) { sftp.stat!(at['none']) }
  refused(4) { sftp.rmdir!(at['tree']) }
  sftp.remove!(at['soft'])
end
