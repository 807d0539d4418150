#![no_main]

planner_fuzz::fuzz!(php_options);
