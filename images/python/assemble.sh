#!/bin/sh
# Copies Debian's Python of one version to /out, laid out for /usr/local, and
# lists the library packages that it needs in /packages.
set -eu
version=$1
out=/out
library=$out/lib/python$version
mkdir -p $out/bin $out/lib $out/include

cp "/usr/bin/python$version" $out/bin/
ln -s "python$version" $out/bin/python3
ln -s python3 $out/bin/python
cp -aL "/usr/lib/python$version" $out/lib/
rm -rf "$library/test" "$library"/config-* "$library/EXTERNALLY-MANAGED" "$library/sitecustomize.py" "$library/dist-packages"
mkdir -p "$library/site-packages"
find $out -name __pycache__ -prune -exec rm -rf {} +

cp -aL "/usr/include/python$version" $out/include/
# Debian's header only points to the one of the architecture.
cp /usr/include/*-linux-gnu/"python$version/pyconfig.h" "$out/include/python$version/pyconfig.h"
cp -a /usr/lib/*-linux-gnu/libpython"$version".so* $out/lib/ 2>/dev/null || true

# Debian's pip installs into dist-packages, elsewhere it is site-packages. The list
# of folders that are searched is compiled in and still names the former: a link
# makes them one.
for file in "$library/sysconfig.py" "$library/sysconfig/__init__.py"; do
  [ ! -f "$file" ] || sed -i "s/prefix_scheme = 'posix_local'/prefix_scheme = 'posix_prefix'/" "$file"
done
ln -s site-packages "$library/dist-packages"

{ find $out -name '*.so*'; echo "$out/bin/python$version"; } | xargs ldd 2>/dev/null |
  sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u |
  while read -r file; do dpkg-query -S "*/${file##*/}" 2>/dev/null | grep -v '^diversion' | head -1; done |
  sed 's/:.*//' | sort -u | grep -v '^libpython' >/packages
cat /packages
