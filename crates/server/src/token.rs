//! `click-deploy token`: an operator on the platform's own machine makes an API token.

use std::io::Write as _;

use clap::Args;
use store::Store;

use crate::{
    configuration,
    serve::{FIRST_ORGANIZATION, Failed, new_token, report},
};

/// What is asked.
#[derive(Args)]
pub(crate) struct Token {
    /// What the token is for; shown to whoever uses it
    #[arg(long, default_value = "operator")]
    name: String,
    /// The organization that it speaks for; made when it is not there
    #[arg(long, default_value = FIRST_ORGANIZATION)]
    organization: String,
}

/// Makes a token and prints it, once: only its hash is kept.
pub(crate) async fn run(ask: &Token) -> Result<(), Failed> {
    let data = configuration::data_directory()?;
    let (sealer, _) = configuration::sealer()?;
    let database = configuration::database(&data)?;
    if database.as_file().is_some_and(|file| !file.exists()) {
        return Err(format!("there is no database at {database}: start `click-deploy serve` first").into());
    }
    let store = Store::open(&database, sealer).await.map_err(|cause| report(&cause))?;
    let organization = store.ensure_organization(&ask.organization).await?;
    let token = new_token()?;
    store
        .add_token(organization, &ask.name, &api::token_hash(&token))
        .await?;
    store.close().await;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(())
}
