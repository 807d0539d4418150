#![no_main]

planner_fuzz::fuzz!(click_deploy_toml);
