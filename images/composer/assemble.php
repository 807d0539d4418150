<?php
// Packs Debian's Composer and its libraries into one executable file; the places that they name become places inside.
$phar = new Phar('/tmp/composer.phar');
$phar->startBuffering();
$add = function (string $file, string $to) use ($phar): void {
    $text = file_get_contents($file);
    if (str_ends_with($file, '.php') || str_ends_with($file, '/composer')) {
        $text = str_replace(['/usr/share/php/', '/../share/php/'], ['phar://composer.phar/php/', '/../php/'], $text);
        $text = preg_replace('/^#!.*\n/', '', $text);
    }
    $phar->addFromString($to, $text);
};
$flags = FilesystemIterator::SKIP_DOTS | FilesystemIterator::FOLLOW_SYMLINKS;
foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator('/usr/share/php', $flags)) as $file) {
    if ($file->isFile()) {
        $add($file->getPathname(), 'php' . substr($file->getPathname(), strlen('/usr/share/php')));
    }
}
$add('/usr/bin/composer', 'bin/composer');
$phar->addFile('/polyfill.php', 'bin/polyfill.php');
$phar->setStub("#!/usr/bin/env php\n<?php Phar::mapPhar('composer.phar'); set_include_path('phar://composer.phar/php'); require 'phar://composer.phar/bin/polyfill.php';"
    . " require 'phar://composer.phar/bin/composer'; __HALT_COMPILER();");
$phar->stopBuffering();
rename('/tmp/composer.phar', '/composer');
