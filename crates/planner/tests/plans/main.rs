//! Applications in, plans out: the crate through its public door.

mod base_images;
mod common;
mod deno;
mod go;
mod hostile;
mod java;
mod node;
mod of_others;
mod overrides;
mod python;
mod rust;
mod shell;
mod static_site;
