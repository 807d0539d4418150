//! Sealing of secrets at rest: AES-256-GCM (NIST SP 800-38D) under a key for each organization, derived by HKDF-SHA256
//! (RFC 5869) from `ENCRYPTION_KEY`. A sealed value opens only in its own row: the row's name is authenticated with it.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::OrganizationId;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
    rand::{SecureRandom, SystemRandom},
};

use crate::{Error, Result};

/// The first byte of what is sealed: which form the rest has.
const FORM: u8 = 1;

/// Seals and opens.
#[derive(Clone)]
pub struct Sealer {
    root: Arc<hkdf::Prk>,
}

/// `ENCRYPTION_KEY` is not what it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("ENCRYPTION_KEY is 32 bytes in base64, for example the output of `openssl rand -base64 32`")]
pub struct BadKey;

impl Sealer {
    /// Takes the key as it is configured.
    ///
    /// # Errors
    /// When it is not 32 bytes in base64.
    pub fn new(key: &str) -> std::result::Result<Self, BadKey> {
        let bytes = STANDARD.decode(key.trim()).map_err(|_| BadKey)?;
        if bytes.len() != 32 {
            return Err(BadKey);
        }
        Ok(Self {
            root: Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, b"click-deploy").extract(&bytes)),
        })
    }

    fn key(&self, organization: OrganizationId) -> Result<LessSafeKey> {
        let name = organization.to_string();
        let info = [b"organization".as_slice(), name.as_bytes()];
        let okm = self.root.expand(&info, &AES_256_GCM).map_err(|_| Error::Sealed)?;
        Ok(LessSafeKey::new(UnboundKey::from(okm)))
    }

    /// A value that only this key has, and that says nothing of it: a backup is put back with the key that it was made
    /// with.
    ///
    /// # Errors
    /// Never in practice: the length is one that HKDF gives.
    pub fn check_value(&self) -> Result<String> {
        let mut value = [0; 32];
        let okm = self
            .root
            .expand(&[b"check value"], hkdf::HKDF_SHA256)
            .map_err(|_| Error::Sealed)?;
        okm.fill(&mut value).map_err(|_| Error::Sealed)?;
        Ok(STANDARD.encode(value))
    }

    /// Seals a value for a row.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn seal(&self, organization: OrganizationId, row: &str, value: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Error::Sealed)?;
        let mut text = value.to_vec();
        self.key(organization)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(row.as_bytes()),
                &mut text,
            )
            .map_err(|_| Error::Sealed)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(FORM);
        sealed.extend(nonce);
        sealed.extend(text);
        Ok(sealed)
    }

    /// Opens a value in its row.
    ///
    /// # Errors
    /// [`Error::Sealed`] with another key, another row, or changed bytes.
    pub fn open(&self, organization: OrganizationId, row: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let (&form, rest) = sealed.split_first().ok_or(Error::Sealed)?;
        if form != FORM || rest.len() < NONCE_LEN {
            return Err(Error::Sealed);
        }
        let (nonce, text) = rest.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Sealed)?;
        let mut text = text.to_vec();
        let opened = self
            .key(organization)?
            .open_in_place(nonce, Aad::from(row.as_bytes()), &mut text)
            .map_err(|_| Error::Sealed)?;
        Ok(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&STANDARD.encode([byte; 32])).unwrap()
    }

    #[test]
    fn a_secret_opens_only_in_its_own_row() {
        let (organization, other) = (OrganizationId::mint(), OrganizationId::mint());
        let sealed = sealer(1).seal(organization, "a", b"value").unwrap();
        assert_eq!(sealer(1).open(organization, "a", &sealed).unwrap(), b"value");
        assert!(sealer(1).open(organization, "b", &sealed).is_err());
        assert!(sealer(1).open(other, "a", &sealed).is_err());
        assert!(sealer(2).open(organization, "a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer(1).open(organization, "a", &changed).is_err());
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert!(Sealer::new("").is_err());
        assert!(Sealer::new(&STANDARD.encode([0; 16])).is_err());
        assert!(Sealer::new("not base64 !").is_err());
    }
}
