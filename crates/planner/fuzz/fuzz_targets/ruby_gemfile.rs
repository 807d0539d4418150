#![no_main]

planner_fuzz::fuzz!(ruby_gemfile);
