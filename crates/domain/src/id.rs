//! Identities that know their kind: a UUIDv7 inside (RFC 9562 §5.7), a prefix outside (`svc_…`).

use std::{cmp::Ordering, fmt, hash::Hash, hash::Hasher, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// What an identity names.
pub trait Kind {
    /// The text before the underscore.
    const PREFIX: &'static str;
}

/// An identity of one kind of thing. Minted by the caller, so that a repeated insert finds its own row.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// The text is not an identity of the expected kind.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("an identity of this kind is `{prefix}_` and 32 hexadecimal digits")]
pub struct BadId {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

impl<K: Kind> Id<K> {
    /// A new identity; later ones sort after earlier ones.
    #[must_use]
    pub fn mint() -> Self {
        Self {
            uuid: Uuid::now_v7(),
            kind: PhantomData,
        }
    }

    /// The last 12 hexadecimal digits: random, short enough for names of containers.
    #[must_use]
    pub fn short(&self) -> String {
        self.uuid.simple().to_string()[20..].to_owned()
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.uuid.simple())
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K: Kind> FromStr for Id<K> {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = BadId { prefix: K::PREFIX };
        let digits = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or(bad.clone())?;
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(bad);
        }
        let uuid = Uuid::try_parse(digits).map_err(|_| bad)?;
        Ok(Self {
            uuid,
            kind: PhantomData,
        })
    }
}
impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl<K: Kind> utoipa::PartialSchema for Id<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        <String as utoipa::PartialSchema>::schema()
    }
}
#[cfg(feature = "schema")]
impl<K: Kind + 'static> utoipa::ToSchema for Id<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Owned(format!("{}_id", K::PREFIX))
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $id:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
        }
        $(#[$doc])*
        pub type $id = Id<$kind>;
    )*};
}

kinds! {
    /// The tenant.
    OrganizationKind OrganizationId "org";
    /// An environment of one organization; owns its network.
    ProjectKind ProjectId "prj";
    /// An application.
    ServiceKind ServiceId "svc";
    /// One attempt to put one version of a service live.
    DeploymentKind DeploymentId "dep";
    /// A durable unit of background work.
    JobKind JobId "job";
    /// An API token.
    TokenKind TokenId "tok";
    /// An uploaded source archive.
    UploadKind UploadId "upl";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_writes() {
        let id = ServiceId::mint();
        assert_eq!(id.to_string().parse::<ServiceId>(), Ok(id));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        assert!(ServiceId::mint().to_string().parse::<ProjectId>().is_err());
        for text in [
            "",
            "svc_",
            "svc_0",
            "svc_-",
            "svc_0190000000007000800000000000000G",
            "svc_{0190000000007000800000000000}",
        ] {
            assert!(text.parse::<ServiceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<ServiceId> = (0..100).map(|_| ServiceId::mint()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
