//! What may count wrong PINs of several tokens together: a TPM, a smart card with several PINs.

use qseed_tokens::wire::DeviceTags;
use serde::{Deserialize, Serialize};

use super::{GuardFile, Known, Record, Taken, hex};
use qseed_engine::PinTag;

/// The digests of [`qseed_tokens::wire::DeviceTags`], in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    #[serde(with = "hex")]
    pub(crate) id: [u8; 32],
    #[serde(with = "hex")]
    pub(crate) token: [u8; 32],
}

impl From<DeviceTags> for Device {
    fn from(tags: DeviceTags) -> Self {
        Self {
            id: tags.device.0,
            token: tags.token.0,
        }
    }
}

impl GuardFile {
    /// Whether a PIN may be presented, by what is known of it and of others at its device.
    pub(super) fn judge(&self, record: &Record) -> Taken {
        let known = self.records.get(&PinTag(record.tag));
        if known.is_some_and(Record::is_held_back) {
            return Taken::HeldBack;
        }
        // One that was accepted before is presented all the same.
        if record.is_held_back() && self.device_is_in_doubt(record) {
            return Taken::DeviceInDoubt;
        }
        Taken::Written
    }

    /// Whether the device of a PIN that never succeeded refused, or may have refused, another
    /// partition's: one that was not put right since, or two in all, since a device may go on
    /// counting after a good login. A partition's own earlier PIN does not count: the operator has
    /// changed it.
    fn device_is_in_doubt(&self, record: &Record) -> bool {
        let Some(ours) = record.device else {
            return false;
        };
        let refused: Vec<&Record> = self
            .records
            .values()
            .filter(|other| other.is_held_back() && !is_one_partition(other, record))
            .filter(|other| other.device.is_some_and(|theirs| theirs.id == ours.id))
            .collect();
        refused.len() > 1 || refused.iter().any(|other| !self.was_put_right(other))
    }

    /// Whether the token has accepted another PIN of the same partition since.
    pub(crate) fn was_put_right(&self, refused: &Record) -> bool {
        self.records.values().any(|other| {
            other.standing == Some(Known::Accepted)
                && is_one_partition(other, refused)
                && other.since >= refused.since
        })
    }
}

/// Whether two records are of one partition. Its name alone does not tell: daemons that share a
/// state directory may each have one of that name.
fn is_one_partition(one: &Record, other: &Record) -> bool {
    let token = |record: &Record| record.device.map(|device| device.token);
    one.partition == other.partition && token(one) == token(other)
}
