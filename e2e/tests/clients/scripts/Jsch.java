// What JSch has for SFTP and commands, at a server: `java -cp jsch.jar Jsch.java`.
//
// Jsch.java HOST PORT USER KEY KNOWN_HOSTS TOP: TOP is what the home is called, `/` on sshomed.

import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.SftpException;
import com.jcraft.jsch.SftpStatVFS;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.TreeSet;

class Jsch {
    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    interface Call {
        void run() throws SftpException;
    }

    static void refused(int id, Call call) throws SftpException {
        try {
            call.run();
        } catch (SftpException refusal) {
            check(refusal.id == id, refusal.toString());
            return;
        }
        throw new AssertionError("it was not refused");
    }

    public static void main(String[] args) throws Exception {
        byte[] content = new byte[1_000_003];
        for (int i = 0; i < content.length; i++) content[i] = (byte) (i * 31 >> 3);
        JSch jsch = new JSch();
        jsch.addIdentity(args[3]);
        jsch.setKnownHosts(args[4]);
        Session session = jsch.getSession(args[2], args[0], Integer.parseInt(args[1]));
        session.setConfig("StrictHostKeyChecking", "yes");
        session.connect(30_000);
        ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
        sftp.connect();
        sftp.cd(args[5]);
        sftp.put(new ByteArrayInputStream(content), "data");
        ByteArrayOutputStream got = new ByteArrayOutputStream();
        sftp.get("data", got);
        check(Arrays.equals(got.toByteArray(), content), "the content");
        sftp.put(new ByteArrayInputStream(content, 0, 300_000), "resumed");
        sftp.put(new ByteArrayInputStream(content), "resumed", null, ChannelSftp.RESUME);
        check(sftp.stat("resumed").getSize() == content.length, "what was resumed");
        sftp.put(new ByteArrayInputStream(content, 0, 10), "resumed", ChannelSftp.APPEND);
        check(sftp.stat("resumed").getSize() == content.length + 10, "what was appended");
        sftp.chmod(0640, "data");
        check((sftp.stat("data").getPermissions() & 0777) == 0640, "chmod");
        sftp.setMtime("data", 1_000_000_000);
        check(sftp.stat("data").getMTime() == 1_000_000_000, "setMtime");
        sftp.mkdir("d");
        sftp.put(new ByteArrayInputStream(content, 0, 1), "d/two words");
        TreeSet<String> names = new TreeSet<>();
        for (Object entry : sftp.ls("d")) names.add(((ChannelSftp.LsEntry) entry).getFilename());
        check(names.toString().equals("[., .., two words]"), names.toString());
        sftp.symlink("data", "soft");
        check(sftp.readlink("soft").endsWith("data"), "readlink");
        sftp.rename("resumed", "renamed");
        check(sftp.realpath("d/../renamed").endsWith("/renamed"), "realpath");
        SftpStatVFS space = sftp.statVFS(".");
        check(space.getSize() > 0, "statVFS");
        refused(ChannelSftp.SSH_FX_NO_SUCH_FILE, () -> sftp.stat("none"));
        refused(ChannelSftp.SSH_FX_FAILURE, () -> sftp.rmdir("d"));
        sftp.rm("d/two words");
        sftp.rmdir("d");
        session.disconnect();
    }
}
