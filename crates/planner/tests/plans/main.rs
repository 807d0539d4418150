//! Applications in, plans out: the crate through its public door.

mod applications;
mod base_images;
mod common;
mod cpp;
mod deno;
mod dotnet;
mod elixir;
mod go;
mod hostile;
mod java;
mod node;
mod node_workspaces;
mod of_others;
mod overrides;
mod php;
mod promises;
mod python;
mod ruby;
mod rust;
mod shell;
mod started;
mod static_site;
