//! Plain TCP from file to file, as the baseline: no encryption, no digest, no attributes, no sync.

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

/// The size of a read or write, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// The bench as a server and as a client.
#[derive(Subcommand)]
pub(crate) enum Raw {
    /// Serves every file of this machine, on loopback
    #[command(name = "raw-serve", hide = true)]
    Serve,
    /// Fetches a file
    #[command(name = "raw-get", hide = true)]
    Get { port: u16, from: PathBuf, to: PathBuf },
    /// Stores a file
    #[command(name = "raw-put", hide = true)]
    Put { port: u16, from: PathBuf, to: PathBuf },
}

impl Raw {
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Raw::Serve => serve(),
            Raw::Get { port, from, to } => {
                let mut stream = ask(*port, "get", from)?;
                let length = copy(&mut stream, &mut File::create(to)?)?;
                ensure!(length > 0, "nothing came of {}", from.display());
                Ok(())
            }
            Raw::Put { port, from, to } => {
                let mut stream = ask(*port, "put", to)?;
                copy(&mut File::open(from)?, &mut stream)?;
                stream.shutdown(Shutdown::Write)?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer)?;
                ensure!(answer == b"stored", "{} was not stored", to.display());
                Ok(())
            }
        }
    }
}

fn ask(port: u16, verb: &str, path: &std::path::Path) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connecting")?;
    stream.set_nodelay(true)?;
    writeln!(stream, "{verb} {}", path.display())?;
    Ok(stream)
}

fn serve() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = answer(&stream) {
                eprintln!("{error:#}");
            }
        });
    }
    Ok(())
}

fn answer(stream: &TcpStream) -> Result<()> {
    let (mut reader, mut writer) = (BufReader::with_capacity(BUFFER_BYTES, stream), stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.trim_end().split_once(' ') {
        Some(("get", path)) => copy(&mut File::open(path)?, &mut writer).map(drop),
        Some(("put", path)) => {
            copy(&mut reader, &mut File::create(path)?)?;
            Ok(writer.write_all(b"stored")?)
        }
        _ => bail!("nobody understands {line:?}"),
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<u64> {
    let (mut piece, mut length) = (vec![0; BUFFER_BYTES], 0);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(length);
        }
        to.write_all(piece.get(..read).unwrap_or_default())?;
        length += read as u64;
    }
}
