use super::error::{Error, Result};
use sshome_wire::RemotePath;
use sshome_wire::display::Escaped;

/// The parsed arguments of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    flags: Vec<u8>,
    values: Vec<(&'static str, Vec<u8>)>,
    /// Arguments that are not options.
    pub(super) operands: Vec<Vec<u8>>,
}

/// The arguments that a command accepts.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArgumentSpec {
    /// The usage line.
    pub(super) usage: &'static str,
    /// Letters of short options.
    pub(super) flags: &'static str,
    /// Names of long options, which take a value.
    pub(super) values: &'static [&'static str],
    /// The smallest and the largest number of operands.
    pub(super) operands: (usize, usize),
}

impl ArgumentSpec {
    /// Parses options and operands. `--` ends the options.
    ///
    /// # Errors
    /// If an option is unknown or the number of operands is wrong.
    pub(super) fn read(&self, words: Vec<Vec<u8>>) -> Result<Arguments> {
        let mut arguments = Arguments::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_slice() {
                b"--" => arguments.operands.extend(words.by_ref()),
                [b'-', b'-', long @ ..] => {
                    let value = self.value(long, &mut words)?;
                    arguments.values.push(value);
                }
                [b'-', letters @ ..] if !letters.is_empty() => {
                    for letter in letters {
                        if !self.flags.as_bytes().contains(letter) {
                            let shown = [b'-', *letter];
                            return Err(self.wrong(format!("unknown option {}", Escaped(&shown))));
                        }
                        arguments.flags.push(*letter);
                    }
                }
                _ => arguments.operands.push(word),
            }
        }
        let (least, most) = self.operands;
        match arguments.operands.len() {
            count if count < least => Err(self.wrong("missing operand".to_owned())),
            count if count > most => Err(self.wrong("too many operands".to_owned())),
            _ => Ok(arguments),
        }
    }

    /// `--NAME=VALUE` or `--NAME VALUE`.
    fn value(
        &self,
        long: &[u8],
        words: &mut impl Iterator<Item = Vec<u8>>,
    ) -> Result<(&'static str, Vec<u8>)> {
        let mut halves = long.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        let known = self.values.iter().find(|known| known.as_bytes() == name);
        let known = known.ok_or_else(|| self.wrong(format!("unknown option --{}", Escaped(name))))?;
        let value = halves.next().map(<[u8]>::to_vec).or_else(|| words.next());
        value.map(|value| (*known, value)).ok_or_else(|| self.wrong(format!("--{known} needs a value")))
    }

    /// A usage error.
    pub(super) fn wrong(&self, why: String) -> Error {
        Error::Usage { why, usage: self.usage }
    }
}

impl Arguments {
    /// Whether one of these letters is set.
    pub(super) fn has(&self, letters: &str) -> bool {
        letters.bytes().any(|letter| self.flags.contains(&letter))
    }

    /// The value of a long option. The last one wins.
    pub(super) fn value(&self, name: &str) -> Option<&[u8]> {
        self.values.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_slice())
    }
}

/// Resolves the path of an operand. There is no working directory: a relative path begins at the root of the home.
///
/// # Errors
/// If the path is invalid. An empty path is an error, as for the kernel.
pub(super) fn path(operand: &[u8]) -> Result<RemotePath> {
    match operand {
        b"" => Err(Error::EmptyPath),
        operand => Ok(RemotePath::root().join(operand)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUT: ArgumentSpec =
        ArgumentSpec { usage: "put [-ab] [--size N] NAME", flags: "ab", values: &["size"], operands: (1, 2) };

    fn read(line: &str) -> Result<Arguments> {
        PUT.read(line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn options_and_operands_are_separated() {
        let read = |line| super::tests::read(line).unwrap();
        let all = read("-ab x --size=5 y");
        assert!(all.has("a") && all.has("xb") && !all.has("x"));
        assert_eq!(all.value("size"), Some(&b"5"[..]));
        assert_eq!(all.operands, [b"x", b"y"]);
        assert_eq!(read("x --size 5 --size 6").value("size"), Some(&b"6"[..]));
        assert_eq!(read("-- -a").operands, [b"-a"]);
        assert_eq!(read("-").operands, [b"-"]);
        assert!(!read("-- x -a").has("a"));
    }

    #[test]
    fn usage_errors_include_the_usage() {
        for (line, wanted) in [
            ("-ax x", "unknown option -x; usage: put [-ab] [--size N] NAME"),
            ("--big x", "unknown option --big; usage: put [-ab] [--size N] NAME"),
            ("x --size", "--size needs a value; usage: put [-ab] [--size N] NAME"),
            ("-a", "missing operand; usage: put [-ab] [--size N] NAME"),
            ("x y z", "too many operands; usage: put [-ab] [--size N] NAME"),
            ("-\x1b x", "unknown option -\\x1b; usage: put [-ab] [--size N] NAME"),
        ] {
            let error = read(line).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_status()), (wanted, 2), "{line}");
        }
    }
}
