//! The SSH agent, which holds keys and signs with them: draft-miller-ssh-agent.
//!
//! russh's own client rejects the whole list if one entry cannot be decoded, and waits forever. Here each entry is
//! decoded separately, and every answer has a time limit.

use russh::Signer;
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_encoding::{self, Decode, Encode};
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// The time limit for a list of keys. Some agents have to be unlocked first.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// The time limit for a signature: the user may have to find and touch a token.
const SIGN_LIMIT: Duration = Duration::from_secs(120);

/// The longest message, in bytes: OpenSSH's own limit.
const MAX_MESSAGE: u32 = 256 << 10;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Flags of a request to sign with an RSA key.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

trait AgentStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> AgentStream for S {}

/// What an agent can sign with.
#[derive(Debug, Default)]
pub(super) struct AgentKeys {
    pub keys: Vec<PublicKey>,
    pub certificates: Vec<Certificate>,
}

/// A connection to an agent.
pub(super) struct Agent {
    stream: Box<dyn AgentStream>,
    list_limit: Duration,
    sign_limit: Duration,
}

/// Errors of an agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not answer.
    #[error("it does not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It refused.
    #[error("it refused")]
    Refused,
    /// Its answer is invalid.
    #[error("its answer is malformed")]
    Nonsense,
    /// The SSH connection is lost.
    #[error("the connection is lost")]
    Send(#[from] russh::SendError),
}

impl From<ssh_encoding::Error> for AgentError {
    fn from(_: ssh_encoding::Error) -> AgentError {
        AgentError::Nonsense
    }
}

impl Agent {
    /// An agent on this stream. `limit` is the time limit of each answer. By default a list may take a few seconds, and
    /// a signature as long as a user needs to confirm it.
    pub(super) fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        limit: Option<Duration>,
    ) -> Agent {
        let (list_limit, sign_limit) = (limit.unwrap_or(LIST_LIMIT), limit.unwrap_or(SIGN_LIMIT));
        Agent { stream: Box::new(stream), list_limit, sign_limit }
    }

    /// Its keys and certificates. Entries of unknown types are skipped.
    ///
    /// # Errors
    /// If it does not answer with a list in time.
    pub(super) async fn identities(&mut self) -> Result<AgentKeys, AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], self.list_limit).await?;
        let mut rest = body(&answer, IDENTITIES_ANSWER)?;
        let count = u32::decode(&mut rest)?;
        let mut found = AgentKeys::default();
        for _ in 0..count {
            let (blob, comment) = (Vec::<u8>::decode(&mut rest)?, Vec::<u8>::decode(&mut rest)?);
            if let Ok(mut certificate) = Certificate::from_bytes(&blob) {
                certificate.set_comment(comment);
                found.certificates.push(certificate);
            } else if let Ok(mut key) = PublicKey::from_bytes(&blob) {
                key.set_comment(comment);
                found.keys.push(key);
            }
        }
        Ok(found)
    }

    /// Lets it sign with the key of this blob, and appends the signature to the signed data.
    async fn sign(
        &mut self,
        blob: &[u8],
        algorithm: Algorithm,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let (flags, name) = match (algorithm, hash) {
            (Algorithm::Rsa { .. }, Some(HashAlg::Sha256)) => (RSA_SHA2_256, "rsa-sha2-256".to_owned()),
            (Algorithm::Rsa { .. }, Some(HashAlg::Sha512)) => (RSA_SHA2_512, "rsa-sha2-512".to_owned()),
            (algorithm, _) => (0, algorithm.to_string()),
        };
        let mut request = vec![SIGN_REQUEST];
        blob.encode(&mut request)?;
        data.encode(&mut request)?;
        flags.encode(&mut request)?;
        let answer = self.ask(&request, self.sign_limit).await?;
        let signature = Vec::<u8>::decode(&mut body(&answer, SIGN_RESPONSE)?)?;
        // An agent that does not know the flag signs with SHA-1.
        if String::decode(&mut signature.as_slice())? != name {
            return Err(AgentError::Nonsense);
        }
        signature.encode(&mut data)?;
        Ok(data)
    }

    /// Sends a message, and returns the answer to it.
    async fn ask(&mut self, message: &[u8], limit: Duration) -> Result<Vec<u8>, AgentError> {
        let asking = async {
            let length = u32::try_from(message.len()).map_err(io::Error::other)?;
            self.stream.write_all(&length.to_be_bytes()).await?;
            self.stream.write_all(message).await?;
            self.stream.flush().await?;
            let length = self.stream.read_u32().await?;
            if length > MAX_MESSAGE {
                return Err(AgentError::Nonsense);
            }
            let mut answer = vec![0; length as usize];
            self.stream.read_exact(&mut answer).await?;
            Ok(answer)
        };
        timeout(limit, asking).await.unwrap_or(Err(AgentError::Silent(limit)))
    }
}

/// The body of a message of this type.
fn body(message: &[u8], kind: u8) -> Result<&[u8], AgentError> {
    match message.split_first() {
        Some((first, rest)) if *first == kind => Ok(rest),
        Some(_) => Err(AgentError::Refused),
        None => Err(AgentError::Nonsense),
    }
}

impl Signer for Agent {
    type Error = AgentError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentError> {
        let public = key.public_key();
        let (algorithm, nonsense) = (public.algorithm(), |_| AgentError::Nonsense);
        let blob = public.to_bytes().map_err(nonsense)?;
        if let AgentIdentity::Certificate { certificate, .. } = key {
            // An agent may have a key only together with its certificate.
            let certificate = certificate.to_bytes().map_err(nonsense)?;
            match self.sign(&certificate, algorithm.clone(), hash, data.clone()).await {
                Err(AgentError::Refused) => {}
                result => return result,
            }
        }
        self.sign(&blob, algorithm, hash, data).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::{PrivateKey, key::safe_rng};
    use tokio::io::duplex;

    fn key(comment: &[u8]) -> PublicKey {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let mut key = key.public_key().clone();
        key.set_comment(comment);
        key
    }

    /// An agent that gives one answer, whatever it is asked.
    fn answering(body: Vec<u8>) -> Agent {
        let (ours, mut theirs) = duplex(1 << 16);
        tokio::spawn(async move {
            let length = theirs.read_u32().await.unwrap();
            theirs.read_exact(&mut vec![0; length as usize]).await.unwrap();
            theirs.write_u32(body.len() as u32).await.unwrap();
            theirs.write_all(&body).await.unwrap();
        });
        Agent::over(ours, None)
    }

    async fn sign(agent: &mut Agent) -> Result<Vec<u8>, AgentError> {
        agent.auth_sign(&key(b"").into(), None, Vec::new()).await
    }

    #[tokio::test]
    async fn the_signature_of_a_hardware_key_is_passed_on_with_its_counter() {
        let mut blob = Vec::new();
        "sk-ssh-ed25519@openssh.com".encode(&mut blob).unwrap();
        vec![7u8; 32].encode(&mut blob).unwrap();
        "ssh:".encode(&mut blob).unwrap();
        let mut agent = answering(list(&[(&blob, b"token")]));
        let token = agent.identities().await.unwrap().keys.remove(0);
        assert_eq!(token.algorithm(), Algorithm::SkEd25519);
        let (mut signature, mut body) = (Vec::new(), vec![SIGN_RESPONSE]);
        "sk-ssh-ed25519@openssh.com".encode(&mut signature).unwrap();
        vec![9u8; 64].encode(&mut signature).unwrap();
        signature.extend([1, 0, 0, 0, 5]);
        signature.encode(&mut body).unwrap();
        let signed = answering(body).auth_sign(&token.into(), None, b"data".to_vec()).await.unwrap();
        assert_eq!(Vec::<u8>::decode(&mut &signed[4..]).unwrap(), signature);
    }

    fn list(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut body = vec![IDENTITIES_ANSWER];
        (entries.len() as u32).encode(&mut body).unwrap();
        for (blob, comment) in entries {
            blob.encode(&mut body).unwrap();
            comment.encode(&mut body).unwrap();
        }
        body
    }

    #[tokio::test]
    async fn an_unsupported_key_does_not_hide_the_others() {
        let (first, second) = (key(b"J\xFCrgen"), key(b"second"));
        let mut ed448 = Vec::new();
        "ssh-ed448".encode(&mut ed448).unwrap();
        vec![7u8; 57].encode(&mut ed448).unwrap();
        let mut agent = answering(list(&[
            (&first.to_bytes().unwrap(), b"J\xFCrgen"),
            (&ed448, b"odd"),
            (b"\0\0\0\x07ssh-", b"broken"),
            (b"", b""),
            (&second.to_bytes().unwrap(), b"second"),
        ]));
        assert_eq!(agent.identities().await.unwrap().keys, [first, second]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_agent_times_out() {
        let (ours, _theirs) = duplex(1 << 16);
        let mut agent = Agent::over(ours, Some(Duration::from_secs(3)));
        let error = agent.identities().await.unwrap_err();
        assert_eq!(error.to_string(), "it does not answer within 3 s");
        let (ours, _theirs) = duplex(1 << 16);
        let error = sign(&mut Agent::over(ours, None)).await.unwrap_err();
        assert!(matches!(error, AgentError::Silent(SIGN_LIMIT)), "{error}");
        let (ours, _theirs) = duplex(1 << 16);
        let mut agent = Agent::over(ours, Some(Duration::from_secs(3)));
        let error = sign(&mut agent).await.unwrap_err();
        assert_eq!(error.to_string(), "it does not answer within 3 s");
    }

    #[tokio::test]
    async fn an_invalid_answer_is_an_error() {
        for body in [vec![], vec![IDENTITIES_ANSWER, 0, 0, 0, 9], vec![IDENTITIES_ANSWER]] {
            assert!(
                matches!(answering(body.clone()).identities().await, Err(AgentError::Nonsense)),
                "{body:?}"
            );
        }
        assert!(matches!(answering(vec![5]).identities().await, Err(AgentError::Refused)));
        // A signature of another algorithm than was asked for.
        let (mut signature, mut body) = (Vec::new(), vec![SIGN_RESPONSE]);
        "ssh-rsa".encode(&mut signature).unwrap();
        signature.encode(&mut body).unwrap();
        assert!(matches!(sign(&mut answering(body)).await, Err(AgentError::Nonsense)));
    }
}
