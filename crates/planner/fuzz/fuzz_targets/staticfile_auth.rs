#![no_main]

planner_fuzz::fuzz!(staticfile_auth);
