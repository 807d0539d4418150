//! Sends a directory: packed and uploaded at the same time, with a bar in terminals.

use std::io::{self, BufWriter, Write};

use api::wire::Deployment;
use bytes::Bytes;
use domain::ServiceId;
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::{
    Session,
    error::ClientError,
    pack::{self, Listing, PackError},
};

/// A directory that cannot be packed, as the error of a command.
pub(crate) fn cannot_pack(error: PackError) -> ClientError {
    match error {
        PackError::NotADirectory(_) | PackError::Empty(_) | PackError::TooLarge { .. } => {
            ClientError::usage(error.to_string(), "")
        }
        other => ClientError::failed(other.to_string(), ""),
    }
}

/// Packs and sends at the same time: nothing of the archive is kept, here or on disk.
pub(crate) async fn upload(
    session: &Session,
    service: ServiceId,
    listing: Listing,
    no_cache: bool,
) -> Result<Deployment, ClientError> {
    let output = session.output;
    output.note(&format!(
        "uploading {} files, {}",
        listing.files,
        pack::size(listing.bytes)
    ));
    let bar = if output.live {
        ProgressBar::new(listing.bytes)
    } else {
        ProgressBar::hidden()
    };
    bar.set_style(
        ProgressStyle::with_template("uploading {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}")
            .expect("the template is a constant that parses"),
    );
    let (sender, receiver) = mpsc::channel(8);
    let counter = bar.clone();
    let packing = tokio::task::spawn_blocking(move || {
        let failed = sender.clone();
        let packed = listing
            .write(BufWriter::with_capacity(128 * 1024, ToChannel(sender)), |bytes| {
                counter.inc(bytes)
            })
            .and_then(|mut writer| writer.flush().map_err(PackError::Closed));
        if packed.is_err() {
            // The body must not look complete.
            let _ = failed.blocking_send(Err(io::Error::other("the archive is not complete")));
        }
        packed
    });
    let body = stream::unfold(receiver, |mut receiver: mpsc::Receiver<io::Result<Bytes>>| async {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let answer = session
        .api
        .upload(service, no_cache, reqwest::Body::wrap_stream(body))
        .await;
    bar.finish_and_clear();
    match (answer, packing.await) {
        // When packing failed, the connection's error is only its echo.
        (Err(_), Ok(Err(error @ (PackError::Unreadable { .. } | PackError::Changed(_))))) => Err(cannot_pack(error)),
        (answer, _) => answer,
    }
}

/// Hands what is written to whoever sends it.
struct ToChannel(mpsc::Sender<io::Result<Bytes>>);

impl Write for ToChannel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map(|()| bytes.len())
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
