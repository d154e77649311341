# SPDX-License-Identifier: Apache-2.0
# What Debian 12 must have, in one table. `make deps` installs what is missing of it; the build takes its link line from it.
#
# package | stages | minimum version | found by | what for
#   stages    build: to compile; run: for make run; test: for make test (each may be several, by commas)
#   found by  pc:NAME  a pkg-config module that is also linked; pctest:NAME  the same, unit tests only
#             h:HEADER=LIBRARY  a header, for libraries without pkg-config module
#             cmd:NAME  a command on the PATH, whoever installed it; dpkg  the package itself
define DEPS_TABLE
gcc                 | build      | 4:10      | cmd:gcc                    | the compiler
libc6-dev           | build      | 2.31      | dpkg                       | the C library
binutils            | build      | 2.35      | cmd:ar                     | archives and linking
make                | build      | 4.2       | cmd:make                   | this file
pkg-config          | build      | 0.29      | cmd:pkg-config             | compiler and linker flags of the libraries
libuv1-dev          | build      | 1.40      | pc:libuv                   | the event loop
libwebsockets-dev   | build      | 4.1       | pc:libwebsockets           | WebSocket frames
libhttp-parser-dev  | build      | 2.9       | h:http_parser.h=http_parser | HTTP/1.1 requests
libzmq3-dev         | build      | 4.3.4     | pc:libzmq                  | sockets between our processes
libmsgpack-dev      | build      | 3.3       | pc:msgpack                 | the wire between our processes
libpq-dev           | build      | 14        | pc:libpq                   | PostgreSQL, asynchronous and in pipelines
librabbitmq-dev     | build      | 0.11      | pc:librabbitmq             | RabbitMQ
librdkafka-dev      | build      | 1.9       | pc:rdkafka                 | Kafka
libhiredis-dev      | build      | 0.14.1    | pc:hiredis                 | reads the protocol of Redis
libjwt-dev          | build      | 1.10.2    | pc:libjwt                  | HS256 tokens
libjansson-dev      | build      | 2.13      | pc:jansson                 | JSON claims of a token; the reference in JSON tests
libcyaml-dev        | build      | 1.3       | pc:libcyaml                | configuration and profiles
libyaml-dev         | build      | 0.2.5     | pc:yaml-0.1                | line numbers of a profile
libssl-dev          | build      | 3.0       | pc:libcrypto               | hashes and random numbers
zlib1g-dev          | build      | 1:1.2.11  | pc:zlib                    | compressed WebSocket messages
nodejs              | run,test   | 18.19     | node:18.19                 | client bundle of the demo page; scenario tests
npm                 | run,test   | 7         | cmd:npm                    | installs what the lock files name
ca-certificates     | run,test   | 20200601  | dpkg                       | npm speaks TLS
libcmocka-dev       | test       | 1.1.5     | pctest:cmocka              | unit tests
clang               | test       | 1:14      | cmd:clang                  | fuzz targets
libclang-rt-14-dev  | test       | 1:14      | dpkg                       | libFuzzer and the sanitizers of clang
llvm                | test       | 1:14      | cmd:llvm-symbolizer        | readable sanitizer reports
clang-format        | test       | 1:14      | cmd:clang-format           | lint
clang-tidy          | test       | 1:14      | cmd:clang-tidy             | lint
cppcheck            | test       | 2.3       | cmd:cppcheck               | lint
python3             | test       | 3.9       | cmd:python3                | lint
postgresql          | test       | 13        | dpkg                       | a real server on a private port
rabbitmq-server     | test       | 3.8       | dpkg                       | a real broker on a private port
redis-server        | test       | 5:6       | dpkg                       | a real server on a private port
default-jre-headless | test      | 2:1.11    | cmd:java                   | a real Kafka on a private port
chromium            | test       | 100       | cmd:chromium               | the demo page, looked at
curl                | test       | 7.74      | cmd:curl                   | scenario tests
openssl             | test       | 3.0       | cmd:openssl                | keys of the scenario tests
iproute2            | test       | 5.10      | cmd:ss                     | scenario tests
procps              | test       | 2:3.3     | cmd:ps                     | scenario tests
endef

DEPS := common/mk/deps.sh
