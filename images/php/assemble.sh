#!/bin/sh
# Installs Debian's PHP and leaves those extensions on that the published images have from the beginning.
set -eu
version=$1 variant=$2
packages="php$version-cli php$version-curl php$version-mbstring php$version-xml php$version-sqlite3"
case $variant in apache) packages="$packages apache2 libapache2-mod-php$version" ;; esac
apt-get update -q
# shellcheck disable=SC2086  # packages are words
DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages
rm -rf /var/lib/apt/lists/*

mkdir -p "$PHP_INI_DIR/conf.d" /usr/local/lib/php/extensions
cp "/usr/lib/php/$version"/php.ini-* "$PHP_INI_DIR/"
for name in ctype curl dom fileinfo ftp iconv mbstring pdo pdo_sqlite phar posix readline simplexml sodium sqlite3 \
  tokenizer xml xmlreader xmlwriter; do
  [ ! -f "/etc/php/$version/mods-available/$name.ini" ] || {
    # The order in which Debian loads them: some need others.
    link=$(find "/etc/php/$version/cli/conf.d" -name "*-$name.ini" | head -1)
    cp -L "$link" "$PHP_INI_DIR/conf.d/"
  }
done
folder=$(php -r 'echo ini_get("extension_dir");')
mv "$folder" "/usr/local/lib/php/extensions/no-debug-non-zts-${folder##*/}"
ln -s "/usr/local/lib/php/extensions/no-debug-non-zts-${folder##*/}" "$folder"
[ -e /usr/local/bin/php ] || ln -s /usr/bin/php /usr/local/bin/php
php -m

[ "$variant" = apache ] || exit 0
# As in the published image: anyone may run it, and logs go to the container's.
sed -ri 's/^export ([^=]+)=(.*)$/: ${\1:=\2}\nexport \1/' /etc/apache2/envvars
for folder in /var/lock/apache2 /var/run/apache2 /var/log/apache2; do
  rm -rf "$folder"; mkdir -p "$folder"; chown www-data:www-data "$folder"; chmod 1777 "$folder"
done
ln -sfT /dev/stderr /var/log/apache2/error.log
ln -sfT /dev/stdout /var/log/apache2/access.log
ln -sfT /dev/stdout /var/log/apache2/other_vhosts_access.log
printf '%s\n' '<FilesMatch \.php$>' '  SetHandler application/x-httpd-php' '</FilesMatch>' 'DirectoryIndex disabled' \
  'DirectoryIndex index.php index.html' '<Directory /var/www/>' '  Options -Indexes' '  AllowOverride All' '</Directory>' \
  >/etc/apache2/conf-available/docker-php.conf
a2enconf docker-php
mkdir -p /var/www/html; rm -f /var/www/html/*; chown www-data:www-data /var/www/html
