#![no_main]

planner_fuzz::fuzz!(elixir_mix);
