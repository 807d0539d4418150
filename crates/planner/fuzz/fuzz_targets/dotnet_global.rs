#![no_main]

planner_fuzz::fuzz!(dotnet_global);
