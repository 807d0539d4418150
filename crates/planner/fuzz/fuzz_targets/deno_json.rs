#![no_main]

planner_fuzz::fuzz!(deno_json);
