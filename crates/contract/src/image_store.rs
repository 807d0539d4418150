//! What every [`ImageStore`] promises.

use domain::{
    names::ImageReference,
    ports::image::{ImageError, ImageStore, StoredImage},
};

/// An adapter, and images that are there for it.
pub struct Bed<'a> {
    /// The adapter.
    pub store: &'a dyn ImageStore,
    /// The name of an image of its own content that was built here, as `name_for` makes it. It will be removed.
    pub own_name: String,
    /// The name of somebody else's image, that can be had.
    pub foreign_name: String,
    /// The only TCP port that the image of our own exposes.
    pub exposed_port: Option<u16>,
}

/// All promises.
///
/// # Panics
/// When one is not kept.
pub async fn keeps_the_image_store_contract(bed: &Bed<'_>) {
    let store = bed.store;
    assert!(!store.version().await.expect("a version").is_empty());
    names_are_names_whatever_they_are_made_of(store);

    let foreign = store.resolve(&bed.foreign_name).await.expect("somebody's image");
    is_pinned(&foreign);
    assert_eq!(store.resolve(&bed.foreign_name).await.expect("the same"), foreign);
    assert!(store.exists(&foreign).await.expect("an answer"));

    let own = store
        .resolve_own(&bed.own_name)
        .await
        .expect("an answer")
        .expect("our image");
    is_pinned(&own);
    assert!(store.exists(&own).await.expect("an answer"));
    assert_eq!(store.exposed_port(&own).await.expect("an answer"), bed.exposed_port);

    store.remove(&own).await.expect("removal");
    assert!(!store.exists(&own).await.expect("an answer"));
    store.remove(&own).await.expect("absence is success");
    assert_eq!(store.resolve_own(&bed.own_name).await.expect("an answer"), None);
    let port = store.exposed_port(&own).await;
    assert!(matches!(port, Err(ImageError::Missing(_))), "{port:?}");
    assert!(
        store.exists(&foreign).await.expect("an answer"),
        "only what was named is removed"
    );
}

fn is_pinned(image: &StoredImage) {
    let hex = image.digest.strip_prefix("sha256:").expect("a digest");
    assert!(
        hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        "{}",
        image.digest
    );
    assert!(!image.reference.is_empty());
}

fn names_are_names_whatever_they_are_made_of(store: &dyn ImageStore) {
    let plain = store.name_for("0198a1b2c3d4", "0198a1b2c3d5", "web-0198a1b2c3d6", "7-0198a1b2c3d7");
    assert!(ImageReference::parse(&plain).is_ok(), "{plain}");
    assert!(plain.ends_with(":7-0198a1b2c3d7"), "{plain}");
    let other = store.name_for("0198a1b2c3d4", "0198a1b2c3d5", "web-0198a1b2c3d6", "8-0198a1b2c3d7");
    assert_ne!(plain, other);
}
