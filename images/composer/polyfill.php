<?php
// What Debian's Composer takes from the extension intl, for texts that Composer shows. The published Composer brings
// libraries of its own for that.
if (!class_exists('Normalizer', false)) {
    class Normalizer
    {
        const NONE = 2, FORM_D = 4, NFD = 4, FORM_KD = 8, NFKD = 8, FORM_C = 16, NFC = 16, FORM_KC = 32, NFKC = 32;

        public static function isNormalized($text, $form = self::FORM_C) { return true; }
        public static function normalize($text, $form = self::FORM_C) { return $text; }
    }
    function normalizer_is_normalized($text, $form = 16) { return true; }
    function normalizer_normalize($text, $form = 16) { return $text; }
    function grapheme_strlen($text) { return mb_strlen($text); }
    function grapheme_substr($text, $start, $length = null) { return mb_substr($text, $start, $length); }
    function grapheme_strpos($text, $part, $offset = 0) { return mb_strpos($text, $part, $offset); }
    function grapheme_strrpos($text, $part, $offset = 0) { return mb_strrpos($text, $part, $offset); }
    function grapheme_stripos($text, $part, $offset = 0) { return mb_stripos($text, $part, $offset); }
}
