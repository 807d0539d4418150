//! The sending side of fsutil's protocol, as the service `FileSync` of a session: BuildKit names a mount and patterns,
//! is told of every file, asks for those that it lacks, and says when it has enough.
//!
//! Nothing is held in memory but the list of paths and a bounded number of chunks under way.

use std::{
    collections::HashMap,
    io::{self, Read},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bollard_buildkit_proto::{
    fsutil::types::{Packet, Stat, packet::PacketType},
    moby::filesync::v1::file_sync_server::FileSync,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use super::{
    follow::follow,
    pattern::Patterns,
    times::{Times, now},
    tree::{CHUNK_BYTES, Visitor, Walk, fingerprint, open},
};

/// How many packets may wait for the connection.
const PACKETS_UNDER_WAY: usize = 16;

/// At most so many single files that were left out are named.
const LEFT_OUT_NAMED: usize = 20;

/// What BuildKit may ask for under one name.
pub(crate) enum Mount {
    /// A directory of this machine.
    Directory {
        /// Where it is.
        root: PathBuf,
        /// What stays out whatever is asked.
        exclude: Vec<String>,
    },
    /// Files from memory, by name, in order.
    Texts(Vec<(String, Arc<[u8]>)>),
}

/// All that one session's BuildKit may ask for.
pub(crate) struct Sources {
    /// By name.
    pub(crate) mounts: HashMap<&'static str, Mount>,
    /// Remembers modification times.
    pub(crate) times: Arc<Times>,
    /// The service's cache.
    pub(crate) cache_key: String,
    /// Told what a person should know.
    pub(crate) notices: mpsc::UnboundedSender<String>,
}

/// The service.
pub(crate) struct Files(pub(crate) Arc<Sources>);

/// Where the content of a file is.
enum Content {
    Place(PathBuf),
    Text(Arc<[u8]>),
}

/// What was told of so far: the content of the packet with that number, for regular files.
type Told = Mutex<Vec<Option<Content>>>;

type Outgoing = mpsc::Sender<Result<Packet, Status>>;

/// What a request names.
struct Wanted {
    mount: String,
    include: Vec<String>,
    exclude: Vec<String>,
    follow: Vec<String>,
}

impl Wanted {
    fn read(metadata: &MetadataMap) -> Self {
        Self {
            mount: texts(metadata, "dir-name").into_iter().next().unwrap_or_default(),
            include: texts(metadata, "include-patterns"),
            exclude: texts(metadata, "exclude-patterns"),
            follow: texts(metadata, "followpaths"),
        }
    }
}

/// The values of a key, decoded when the sender says that they are encoded.
fn texts(metadata: &MetadataMap, key: &str) -> Vec<String> {
    let encoded = metadata
        .get(format!("{key}-encoded").as_str())
        .is_some_and(|value| matches!(value.as_bytes(), b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True"));
    metadata
        .get_all(key)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            if encoded { decoded(&text) } else { text.into_owned() }
        })
        .collect()
}

/// Undoes the encoding of a query's values.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .and_then(|pair| hex::decode(pair).ok())
            .filter(|_| first == b'%');
        match hex {
            Some(byte) => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if first == b'+' { b' ' } else { first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tonic::async_trait]
impl FileSync for Files {
    type DiffCopyStream = ReceiverStream<Result<Packet, Status>>;
    type TarStreamStream = ReceiverStream<Result<Packet, Status>>;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Self::DiffCopyStream>, Status> {
        let wanted = Wanted::read(request.metadata());
        if !self.0.mounts.contains_key(wanted.mount.as_str()) {
            return Err(Status::not_found(format!(
                "no access allowed to dir {:?}",
                wanted.mount
            )));
        }
        let exclude = Patterns::new(&wanted.exclude).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (outgoing, packets) = mpsc::channel(PACKETS_UNDER_WAY);
        let (asked, questions) = mpsc::unbounded_channel();
        let told = Arc::new(Told::default());

        let sources = self.0.clone();
        let (told_by_walk, tell) = (told.clone(), outgoing.clone());
        tokio::task::spawn_blocking(move || tell_all(&sources, &wanted, exclude, &told_by_walk, &tell));
        let answer = outgoing.clone();
        tokio::task::spawn_blocking(move || answer_all(questions, &told, &answer));
        tokio::spawn(listen(request.into_inner(), asked, outgoing));
        Ok(Response::new(ReceiverStream::new(packets)))
    }

    async fn tar_stream(
        &self,
        _request: Request<Streaming<Packet>>,
    ) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("files are sent by DiffCopy"))
    }
}

/// Hears what BuildKit asks for, until it has enough or is gone.
async fn listen(mut packets: Streaming<Packet>, asked: mpsc::UnboundedSender<u32>, outgoing: Outgoing) {
    while let Ok(Some(packet)) = packets.message().await {
        match packet.r#type() {
            PacketType::PacketReq => {
                if asked.send(packet.id).is_err() {
                    return;
                }
            }
            PacketType::PacketFin => {
                // Nobody listening any more is as good.
                let _ = outgoing.send(Ok(of(PacketType::PacketFin))).await;
                return;
            }
            PacketType::PacketErr => {
                tracing::debug!(message = %String::from_utf8_lossy(&packet.data), "the builder took no more files");
                return;
            }
            PacketType::PacketStat | PacketType::PacketData => {}
        }
    }
}

/// Tells of every file, then that there are no more.
fn tell_all(sources: &Sources, wanted: &Wanted, exclude: Patterns, told: &Told, outgoing: &Outgoing) {
    let mut teller = Teller {
        told,
        outgoing,
        sources,
        left_out: 0,
    };
    let scope = format!("{}\n{}", sources.cache_key, wanted.mount);
    let outcome = match sources.mounts.get(wanted.mount.as_str()) {
        Some(Mount::Directory { root, exclude: always }) => {
            directory(root, always, wanted, exclude, &scope, &mut teller, &sources.times)
        }
        Some(Mount::Texts(texts)) => {
            let now = now();
            for (name, text) in texts {
                let content = fingerprint(&scope, name, |hash| hash.update(text));
                let stat = Stat {
                    path: name.clone(),
                    mode: 0o644,
                    size: i64::try_from(text.len()).unwrap_or(i64::MAX),
                    mod_time: sources.times.of(content, now),
                    ..Stat::default()
                };
                teller.tell(stat, Some(Content::Text(text.clone())));
            }
            Ok(())
        }
        None => Ok(()),
    };
    teller.end();
    let last = match outcome {
        Ok(()) => of(PacketType::PacketStat),
        Err(error) => Packet {
            data: format!("the application's files cannot be read: {error}").into_bytes(),
            ..of(PacketType::PacketErr)
        },
    };
    // Nobody listening any more is as good.
    let _ = outgoing.blocking_send(Ok(last));
}

fn directory(
    root: &PathBuf,
    always: &[String],
    wanted: &Wanted,
    mut exclude: Patterns,
    scope: &str,
    teller: &mut Teller<'_>,
    times: &Times,
) -> io::Result<()> {
    let bad = |error: super::pattern::BadPattern| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
    if !always.is_empty() {
        exclude = Patterns::new(wanted.exclude.iter().chain(always)).map_err(bad)?;
    }
    let mut include = Some(wanted.include.clone()).filter(|patterns| !patterns.is_empty());
    if !wanted.follow.is_empty() {
        include = follow(root, &wanted.follow).map(|followed| [include.unwrap_or_default(), followed].concat());
    }
    let include = include.map(Patterns::new).transpose().map_err(bad)?;
    let walk = Walk {
        root,
        include,
        exclude,
        times,
        scope,
        now: now(),
    };
    walk.run(teller)
}

struct Teller<'a> {
    told: &'a Told,
    outgoing: &'a Outgoing,
    sources: &'a Sources,
    left_out: usize,
}

impl Teller<'_> {
    fn tell(&mut self, stat: Stat, content: Option<Content>) -> bool {
        // Before the packet goes: it may be asked for at once.
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(content);
        let packet = Packet {
            stat: Some(stat),
            ..of(PacketType::PacketStat)
        };
        self.outgoing.blocking_send(Ok(packet)).is_ok()
    }

    fn notice(&self, text: String) {
        // A build that is over needs no notices.
        let _ = self.sources.notices.send(text);
    }

    fn end(&self) {
        if self.left_out > LEFT_OUT_NAMED {
            self.notice(format!("{} files were left out of the build in all", self.left_out));
        }
    }
}

impl Visitor for Teller<'_> {
    fn entry(&mut self, stat: Stat, content: Option<PathBuf>) -> bool {
        self.tell(stat, content.map(Content::Place))
    }

    fn left_out(&mut self, path: &str, why: &str) {
        self.left_out += 1;
        if self.left_out <= LEFT_OUT_NAMED {
            self.notice(format!("`{path}` is left out of the build: {why}"));
        }
    }

    fn gone(&self) -> bool {
        self.outgoing.is_closed()
    }
}

/// Sends what is asked for, one file after the other.
fn answer_all(mut questions: mpsc::UnboundedReceiver<u32>, told: &Told, outgoing: &Outgoing) {
    let mut buffer = vec![0; CHUNK_BYTES];
    while let Some(number) = questions.blocking_recv() {
        let content = told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(number as usize)
            .and_then(Option::take);
        let Some(content) = content else {
            let refusal = Packet {
                data: format!("invalid file id {number}").into_bytes(),
                ..of(PacketType::PacketErr)
            };
            let _ = outgoing.blocking_send(Ok(refusal));
            return;
        };
        let sent = match content {
            Content::Text(text) => text.chunks(CHUNK_BYTES).all(|chunk| send(outgoing, number, chunk)),
            Content::Place(place) => match open(&place) {
                Ok(file) => send_file(file, number, &mut buffer, outgoing),
                // It vanished: an empty file, as the protocol has no other word for it.
                Err(_) => true,
            },
        };
        // An empty piece of data ends a file.
        if !sent || !send(outgoing, number, &[]) {
            return;
        }
    }
}

fn send_file(mut file: std::fs::File, number: u32, buffer: &mut [u8], outgoing: &Outgoing) -> bool {
    loop {
        match file.read(buffer) {
            Ok(0) => return true,
            Ok(read) => {
                if !send(outgoing, number, &buffer[..read]) {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let failure = Packet {
                    data: format!("the application's files cannot be read: {error}").into_bytes(),
                    ..of(PacketType::PacketErr)
                };
                let _ = outgoing.blocking_send(Ok(failure));
                return false;
            }
        }
    }
}

fn send(outgoing: &Outgoing, number: u32, data: &[u8]) -> bool {
    let packet = Packet {
        id: number,
        data: data.to_vec(),
        ..of(PacketType::PacketData)
    };
    outgoing.blocking_send(Ok(packet)).is_ok()
}

fn of(kind: PacketType) -> Packet {
    Packet {
        r#type: kind.into(),
        ..Packet::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_names_is_read_encoded_and_plain() {
        let mut metadata = MetadataMap::new();
        metadata.insert("dir-name", "context".parse().unwrap());
        metadata.append("exclude-patterns", "a+b%2F".parse().unwrap());
        metadata.append("include-patterns", "%C3%A4+b".parse().unwrap());
        metadata.append("include-patterns", "c".parse().unwrap());
        metadata.insert("include-patterns-encoded", "1".parse().unwrap());
        let wanted = Wanted::read(&metadata);
        assert_eq!(wanted.mount, "context");
        assert_eq!(wanted.exclude, ["a+b%2F"]);
        assert_eq!(wanted.include, ["ä b", "c"]);
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }
}
