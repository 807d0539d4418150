//! How a registry wants to know who asks: basic authentication, or a bearer token that it names the issuer of.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::ports::image::ImageError;
use http::{HeaderMap, header::WWW_AUTHENTICATE};
use serde::Deserialize;

use super::{
    manifest::read_limited,
    outside,
    registry::{RegistryAccess, unreachable},
};

/// What is to be done where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) actions: &'static str,
}

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token of this issuer, for this service.
    Bearer { realm: String, service: Option<String> },
}

/// The challenge among an answer's headers that we can meet.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| read_challenge(value.to_str().ok()?))
        .max_by_key(|challenge| matches!(challenge, Challenge::Bearer { .. }))
}

fn read_challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let parameters = read_parameters(rest);
    let find = |key: &str| {
        parameters
            .iter()
            .find(|(found, _)| found == key)
            .map(|(_, value)| value.clone())
    };
    Some(Challenge::Bearer {
        realm: find("realm")?,
        service: find("service"),
    })
}

/// `key="value", other=token`: quoted values may hold commas and escaped quotes.
fn read_parameters(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((key, after)) = rest.split_once('=') {
        let mut value = String::new();
        let mut end = after.len();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut is_escaped = false;
            for (at, character) in quoted.char_indices() {
                match character {
                    _ if is_escaped => {
                        value.push(character);
                        is_escaped = false;
                    }
                    '\\' => is_escaped = true,
                    '"' => {
                        end = at + 2;
                        break;
                    }
                    _ => value.push(character),
                }
            }
        } else {
            end = after.find(',').unwrap_or(after.len());
            value.push_str(after[..end].trim());
        }
        parameters.push((key.trim().to_ascii_lowercase(), value));
        rest = after[end..].trim_start_matches([' ', ',']);
    }
    parameters
}

/// What was obtained, by what it is for.
#[derive(Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<Scope, (String, Instant)>>,
}

/// The lifetime of a token that does not say it, by the token specification.
const DEFAULT_SECONDS: u64 = 60;
/// So much earlier than it ends, a token is not used any more.
const MARGIN: Duration = Duration::from_secs(10);
/// Beyond so many tokens, the ones that ended are forgotten.
const MANY: usize = 1000;

impl Tokens {
    /// The header's value, when it is known and still good.
    pub(super) fn known(&self, scope: &Scope) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, until) = known.get(scope)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    /// Obtains what meets the challenge; `None` when we have nothing to show.
    pub(super) async fn obtain(
        &self,
        client: &reqwest::Client,
        challenge: &Challenge,
        scope: &Scope,
        access: Option<&RegistryAccess>,
    ) -> Result<Option<String>, ImageError> {
        let basic = access.and_then(basic);
        let (value, seconds) = match challenge {
            Challenge::Basic => match basic {
                Some(value) => (value, DEFAULT_SECONDS * 60),
                None => return Ok(None),
            },
            Challenge::Bearer { realm, service } => {
                if access.is_none() {
                    outside::check_url(realm)?;
                }
                match token(client, realm, service.as_deref(), scope, basic).await? {
                    Some(token) => token,
                    None => return Ok(None),
                }
            }
        };
        let until = Instant::now() + Duration::from_secs(seconds).saturating_sub(MARGIN);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MANY {
            let now = Instant::now();
            known.retain(|_, (_, until)| *until > now);
        }
        known.insert(scope.clone(), (value.clone(), until));
        Ok(Some(value))
    }
}

fn basic(access: &RegistryAccess) -> Option<String> {
    let username = access.username.as_ref()?;
    let password = access.password.as_ref()?;
    let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
    Some(format!("Basic {pair}"))
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Asks the issuer for a token, and its lifetime in seconds.
async fn token(
    client: &reqwest::Client,
    realm: &str,
    service: Option<&str>,
    scope: &Scope,
    basic: Option<String>,
) -> Result<Option<(String, u64)>, ImageError> {
    let mut query = Vec::new();
    query.extend(service.map(|service| ("service", service.to_owned())));
    if !scope.repository.is_empty() {
        query.push(("scope", format!("repository:{}:{}", scope.repository, scope.actions)));
    }
    let mut request = client.get(realm).query(&query);
    if let Some(value) = basic {
        request = request.header(http::header::AUTHORIZATION, value);
    }
    let answer = request.send().await.map_err(unreachable)?;
    if answer.status().is_server_error() {
        let status = answer.status();
        return Err(ImageError::Unreachable(
            format!("the registry's token service answered {status}").into(),
        ));
    }
    if !answer.status().is_success() {
        return Ok(None);
    }
    let body = read_limited(answer, super::manifest::ERROR_LIMIT).await?;
    let Ok(token) = serde_json::from_slice::<Token>(&body) else {
        return Err(ImageError::Other(
            "its token service answered with what is no token".to_owned(),
        ));
    };
    let seconds = token.expires_in.unwrap_or(DEFAULT_SECONDS);
    let found = token.token.or(token.access_token).filter(|token| !token.is_empty());
    Ok(found.map(|token| (format!("Bearer {token}"), seconds.min(24 * 3600))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let bearer =
            r#"Bearer realm="https://auth.example.org/token",service="registry, \"main\"",scope="repository:a:pull""#;
        assert_eq!(
            read_challenge(bearer),
            Some(Challenge::Bearer {
                realm: "https://auth.example.org/token".to_owned(),
                service: Some("registry, \"main\"".to_owned()),
            })
        );
        assert_eq!(read_challenge("basic realm=\"x\""), Some(Challenge::Basic));
        for text in ["", "Bearer", "Bearer service=x", "Digest realm=\"x\"", "Bearer realm"] {
            assert_eq!(read_challenge(text), None, "{text}");
        }
    }

    #[test]
    fn hostile_parameters_are_read_without_harm() {
        for text in ["=", "a=\"", "a=\"\\", "é=é", "a=b,=,c", "a=\"b\"é=c", ",,,=\"\",\""] {
            let _ = read_parameters(text);
        }
    }

    #[test]
    fn a_token_is_used_as_long_as_it_is_good() {
        let tokens = Tokens::default();
        let scope = Scope {
            host: "x".to_owned(),
            repository: "a".to_owned(),
            actions: "pull",
        };
        assert_eq!(tokens.known(&scope), None);
        let soon = Instant::now() + Duration::from_secs(60);
        tokens
            .known
            .lock()
            .unwrap()
            .insert(scope.clone(), ("Bearer a".to_owned(), soon));
        assert_eq!(tokens.known(&scope).as_deref(), Some("Bearer a"));
        tokens
            .known
            .lock()
            .unwrap()
            .insert(scope.clone(), ("Bearer a".to_owned(), Instant::now()));
        assert_eq!(tokens.known(&scope), None);
    }
}
