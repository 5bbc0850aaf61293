//! The witness's own key, and the keys of logs.

use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, ML_DSA_44, ML_DSA_44_SIGNING, PqdsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::sha256;
use crate::note::{Checkpoint, Signature};

/// How the witness signs (<https://c2sp.org/tlog-cosignature>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ed25519.
    Ed25519,
    /// ML-DSA-44.
    MlDsa44,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    MlDsa44(PqdsaKeyPair),
}

/// The witness's own key.
pub(crate) struct Key {
    pub(crate) name: String,
    pair: Pair,
}

impl Key {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        let pair = match kind {
            Kind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().expect("random bytes")),
            Kind::MlDsa44 => {
                Pair::MlDsa44(PqdsaKeyPair::generate(&ML_DSA_44_SIGNING).expect("random bytes"))
            }
        };
        Self {
            name: name.to_owned(),
            pair,
        }
    }

    /// Another key of the same name and kind.
    pub(crate) fn impostor(&self) -> Self {
        match self.pair {
            Pair::Ed25519(_) => Self::new(&self.name, Kind::Ed25519),
            Pair::MlDsa44(_) => Self::new(&self.name, Kind::MlDsa44),
        }
    }

    fn encoded(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => [&[4], pair.public_key().as_ref()].concat(),
            Pair::MlDsa44(pair) => [&[6], pair.public_key().as_ref()].concat(),
        }
    }

    pub(crate) fn id(&self) -> [u8; 4] {
        id(&self.name, &self.encoded())
    }

    pub(crate) fn vkey(&self) -> String {
        let id = u32::from_be_bytes(self.id());
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(self.encoded()))
    }

    /// A cosignature of the checkpoint at this time: time and signature.
    pub(crate) fn cosign(&self, checkpoint: &Checkpoint, time: u64) -> Vec<u8> {
        let signature = match &self.pair {
            Pair::Ed25519(pair) => {
                let message = format!("cosignature/v1\ntime {time}\n{}", checkpoint.text);
                pair.sign(message.as_bytes()).as_ref().to_vec()
            }
            Pair::MlDsa44(pair) => {
                let message = subtree(&self.name, time, checkpoint);
                let mut signature = vec![0; ML_DSA_44_SIGNING.signature_len()];
                pair.sign(&message, &mut signature).expect("it signs");
                signature
            }
        };
        [&time.to_be_bytes()[..], &signature].concat()
    }
}

fn id(name: &str, encoded: &[u8]) -> [u8; 4] {
    let hash = sha256(&[name.as_bytes(), b"\n", encoded].concat());
    *hash.first_chunk().expect("it is longer")
}

/// What an ML-DSA-44 cosignature signs.
fn subtree(cosigner: &str, time: u64, checkpoint: &Checkpoint) -> Vec<u8> {
    let named = |name: &str| {
        let length = u8::try_from(name.len()).expect("a short name");
        [&[length], name.as_bytes()].concat()
    };
    [
        b"subtree/v1\n\0".to_vec(),
        named(cosigner),
        time.to_be_bytes().to_vec(),
        named(&checkpoint.origin),
        0_u64.to_be_bytes().to_vec(),
        checkpoint.size.to_be_bytes().to_vec(),
        checkpoint.root.to_vec(),
    ]
    .concat()
}

/// A key that signs a log's checkpoints.
pub(crate) struct LogKey {
    pub(crate) name: String,
    id: [u8; 4],
    kind: u8,
    public: Vec<u8>,
}

impl LogKey {
    pub(crate) fn parse(vkey: &str) -> Option<Self> {
        let mut parts = vkey.splitn(3, '+');
        let (name, written, key) = (parts.next()?, parts.next()?, parts.next()?);
        let encoded = STANDARD.decode(key).ok()?;
        let id = id(name, &encoded);
        let (&kind, public) = encoded.split_first()?;
        (written == format!("{:08x}", u32::from_be_bytes(id))).then(|| Self {
            name: name.to_owned(),
            id,
            kind,
            public: public.to_vec(),
        })
    }

    pub(crate) fn is_named_by(&self, signature: &Signature) -> bool {
        signature.name == self.name && signature.id == self.id
    }

    /// Whether this key made the signature below the checkpoint.
    pub(crate) fn made(&self, signature: &Signature, checkpoint: &Checkpoint) -> bool {
        let key = &self.public[..];
        match self.kind {
            1 => UnparsedPublicKey::new(&ED25519, key)
                .verify(checkpoint.text.as_bytes(), &signature.bytes)
                .is_ok(),
            6 => signature
                .bytes
                .split_first_chunk()
                .is_some_and(|(time, bytes)| {
                    let time = u64::from_be_bytes(*time);
                    UnparsedPublicKey::new(&ML_DSA_44, key)
                        .verify(&subtree(&self.name, time, checkpoint), bytes)
                        .is_ok()
                }),
            _ => false,
        }
    }
}
