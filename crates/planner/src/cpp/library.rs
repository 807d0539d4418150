//! Debian's packages of the libraries that C and C++ applications look for by name.

/// The name that CMake, pkg-config or Meson knows a library by, in lower case, and the package that has its headers.
const KNOWN: &[(&str, &str)] = &[
    ("absl", "libabsl-dev"),
    ("asio", "libasio-dev"),
    ("boost", "libboost-all-dev"),
    ("cli11", "libcli11-dev"),
    ("curl", "libcurl4-openssl-dev"),
    ("drogon", "libdrogon-dev"),
    ("eigen3", "libeigen3-dev"),
    ("expat", "libexpat1-dev"),
    ("fmt", "libfmt-dev"),
    ("glib-2.0", "libglib2.0-dev"),
    ("grpc", "libgrpc++-dev"),
    ("grpc++", "libgrpc++-dev"),
    ("hiredis", "libhiredis-dev"),
    ("httplib", "libcpp-httplib-dev"),
    ("jsoncpp", "libjsoncpp-dev"),
    ("libcurl", "libcurl4-openssl-dev"),
    ("libevent", "libevent-dev"),
    ("libmicrohttpd", "libmicrohttpd-dev"),
    ("libpq", "libpq-dev"),
    ("libpqxx", "libpqxx-dev"),
    ("libsodium", "libsodium-dev"),
    ("libuv", "libuv1-dev"),
    ("libxml2", "libxml2-dev"),
    ("libzmq", "libzmq3-dev"),
    ("nlohmann_json", "nlohmann-json3-dev"),
    ("opencv", "libopencv-dev"),
    ("openssl", "libssl-dev"),
    ("poco", "libpoco-dev"),
    ("postgresql", "libpq-dev"),
    ("protobuf", "libprotobuf-dev"),
    ("rapidjson", "rapidjson-dev"),
    ("rdkafka", "librdkafka-dev"),
    ("spdlog", "libspdlog-dev"),
    ("sqlite3", "libsqlite3-dev"),
    ("unofficial-sqlite3", "libsqlite3-dev"),
    ("yaml-cpp", "libyaml-cpp-dev"),
    ("zlib", "zlib1g-dev"),
    ("zstd", "libzstd-dev"),
];

/// What `protobuf` and `grpc` are called with.
const COMPILERS: &[(&str, &str)] = &[
    ("protobuf", "protobuf-compiler"),
    ("grpc", "protobuf-compiler-grpc"),
    ("grpc++", "protobuf-compiler-grpc"),
];

/// The packages for these libraries. What is not known has to be named by the user, if it is not in the sources.
pub(super) fn packages(libraries: &[String]) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for library in libraries {
        let named = KNOWN.iter().chain(COMPILERS).filter(|(name, _)| name == library);
        for (_, package) in named {
            if !found.contains(package) {
                found.push(package);
            }
        }
    }
    found
}
