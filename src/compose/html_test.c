// SPDX-License-Identifier: ISC
#include "compose/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/utf8.h"

static void check_text(const char *html, const char *want)
{
    struct buf b = buf_init(MIB);

    assert_true(html_text(str_c(html), &b));
    if (!str_eq_c(buf_str(&b), want))
        fail_msg("%s\ngives\n%s\ninstead of\n%s", html, buf_c(&b), want);
    buf_free(&b);
}

struct example {
    const char *html, *want;
};

static void check_all(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_text(examples[i].html, examples[i].want);
}

static void paragraphs(void **state)
{
    static const struct example examples[] = {
        {"", ""},
        {"  \n", ""},
        {"hello", "hello\n"},
        {"<p>one</p><p>two</p>", "one\n\ntwo\n"},
        {"<p>one<p>two", "one\n\ntwo\n"},
        {"<html><head><title>T</title></head><body>  one\n two\t three </body></html>",
         "one two three\n"},
        {"<div>one</div><div>two</div>three", "one\ntwo\nthree\n"},
        {"one<br>two<br/>three", "one\ntwo\nthree\n"},
        {"one<br><br>two", "one\n\ntwo\n"},
        {"<p>one</p>\n\n<br>\n<p>two</p>", "one\n\ntwo\n"},
        {"a<b>b</b>c <i> d </i>e", "abc d e\n"},
        {"<h1>Title</h1><p>x", "Title\n=====\n\nx\n"},
        {"x<h2>A &amp; B</h2>y", "x\n\nA & B\n-----\n\ny\n"},
        {"<h3>small</h3>x", "small\n\nx\n"},
        {"<h1></h1>x", "x\n"},
        {"one<hr>two", "one\n\n----------------------------------------\n\ntwo\n"},
        {"<pre>\n  a\tb\n\n <b>c</b>\n</pre>d", "  a     b\n\n c\n\nd\n"},
        {"<q>x</q>", "\"x\"\n"},
    };

    check_all(examples, countof(examples));
}

static void characters(void **state)
{
    static const struct example examples[] = {
        {"&lt;a&gt; &amp; &quot;b&quot; &apos;c&apos;", "<a> & \"b\" 'c'\n"},
        {"&eacute;&euro;&#1046;&#x416;", "\xc3\xa9\xe2\x82\xac\xd0\x96\xd0\x96\n"},
        {"a&nbsp;b", "a b\n"},
        {"soft&shy;hyphen \xef\xbb\xbfmark", "softhyphen mark\n"},
        {"&nosuch; &; & &#0; x", "&nosuch; &; & x\n"},
        {"\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0"
                                                             "\xb5\xd1\x82\n"},
        {"<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>\xd0\x96",
         "\xd0\x96\n"},
        {"<?xml version='1.0' encoding='koi8-r'?><p>\xd0\x96", "\xd0\x96\n"},
        {"a < b > c", "a < b > c\n"},
    };

    check_all(examples, countof(examples));
}

static void what_is_not_shown(void **state)
{
    static const struct example examples[] = {
        {"a<script>var x = '<p>no</p>';</script>b", "ab\n"},
        {"<style>p { color: red }</style>x", "x\n"},
        {"<head><style>p</style><title>no</title></head><body>x", "x\n"},
        {"<!-- no -->x<!-- <p>no -->", "x\n"},
        {"<div style='color: red; display : none'>no<p>no</p></div>x", "x\n"},
        {"<span hidden>no</span>x", "x\n"},
        {"<div style='display:block'>yes</div>x", "yes\nx\n"},
        {"<template>no</template><svg><text>no</text></svg>x", "x\n"},
        {"<script>never ended", ""},
        {"<!DOCTYPE html><html><body>x</body></html>", "x\n"},
    };

    check_all(examples, countof(examples));
}

static void links(void **state)
{
    static const struct example examples[] = {
        {"see <a href='https://example.org/a'>this page</a>.",
         "see this page <https://example.org/a>.\n"},
        {"<a href='https://example.org/'>example.org</a>", "example.org\n"},
        {"<a href='https://www.example.org/a'>https://www.example.org/a</a>!",
         "https://www.example.org/a!\n"},
        {"<a href='mailto:bill@example.org'>bill@example.org</a>", "bill@example.org\n"},
        {"<a href='mailto:bill@example.org'>Bill</a>", "Bill <bill@example.org>\n"},
        {"<a href='#top'>up</a> <a name=x>here</a> <a href='javascript:f()'>do</a>",
         "up here do\n"},
        {"<a href=' https://example.org/a b'>x</a>", "x\n"},
        {"<a href='https://example.org/?a=1&amp;b=2'>x</a>", "x <https://example.org/?a=1&b=2>\n"},
        {"<a href='https://example.org'><img src=x alt='a picture'></a>",
         "[a picture] <https://example.org>\n"},
        {"<img src=pixel.gif>x<img src=y alt=''><img src=z alt=smile>", "x[smile]\n"},
    };

    check_all(examples, countof(examples));
}

static void lists(void **state)
{
    static const struct example examples[] = {
        {"x<ul><li>one<li>two</ul>y", "x\n\n- one\n- two\n\ny\n"},
        {"<ol><li>one</li><li>two</li></ol>", "1. one\n2. two\n"},
        {"<ol start=9><li>one</li><li>two</li><li value=20>x</li><li>y</li></ol>",
         "9. one\n10. two\n20. x\n21. y\n"},
        {"<ul><li>a<ul><li>b<ol><li>c</ol></ul><li>d</ul>", "- a\n  - b\n    1. c\n- d\n"},
        {"<ul><li>a<br>b<p>c</p></li><li>d</ul>", "- a\n  b\n\n  c\n\n- d\n"},
        {"<dl><dt>word<dd>what it is</dl>", "word\n    what it is\n"},
        {"<li>alone", "- alone\n"},
        {"<ol start=-1><li>a</ol><ol start=99999999999999999999><li>b</ol>", "1. a\n\n1. b\n"},
    };

    check_all(examples, countof(examples));
}

static void quotes(void **state)
{
    static const struct example examples[] = {
        {"x<blockquote>a<br>b</blockquote>y", "x\n\n> a\n> b\n\ny\n"},
        {"<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b\n"},
        {"<blockquote>a<blockquote>b</blockquote>c</blockquote>", "> a\n>\n> > b\n>\n> c\n"},
        {"<blockquote><ul><li>a</ul></blockquote>", "> - a\n"},
        {"<blockquote><pre>a\n\nb</pre></blockquote>", "> a\n>\n> b\n"},
    };

    check_all(examples, countof(examples));
}

static void tables(void **state)
{
    static const struct example examples[] = {
        {"<table><tr><th>Name<th>Price<tr><td>Tea<td>3.50<tr><td>Black coffee<td>2</table>",
         "Name          Price\n------------  -----\nTea           3.50\nBlack coffee  2\n"},
        {"a<table><tr><td>1</td><td>2</td></tr></table>b", "a\n\n1  2\n\nb\n"},
        {"<table><caption>Title of it all</caption><tr><td>1<td>2</table>",
         "Title of it all\n1  2\n"},
        {"<table>\n <tr>\n  <td>\n   <p>layout</p>\n  </td>\n </tr>\n</table>", "layout\n"},
        {"<table><tr><td>left<td><p>a</p><p>b</p></table>", "left\n\na\n\nb\n"},
        {"<table><tr><td><table><tr><td>1<td>2<tr><td>3<td>4</table><td>x</table>",
         "1  2\n3  4\n\nx\n"},
        {"<blockquote><table><tr><td>1<td>2</table></blockquote>", "> 1  2\n"},
        {"<table><tr><td><td></table>x", "x\n"},
        {"<table></table>x", "x\n"},
        {"<table><tr><td>one column<tr><td>is text</table>", "one column\nis text\n"},
        {"<tr><td>no table", "no table\n"},
        {"<table><tr><td>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa<td>bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb<td>"
         "cccccccccccccccccccccccccccccc</table>",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb |\n"
         "cccccccccccccccccccccccccccccc\n"},
        {"<table><tr><td>\xd0\x96<td>1<tr><td>\xe4\xb8\xad\xe6\x96\x87<td>2</table>",
         "\xd0\x96     1\n\xe4\xb8\xad\xe6\x96\x87  2\n"},
    };

    check_all(examples, countof(examples));
}

static void lines_are_wrapped(void **state)
{
    struct buf html = buf_init(MIB), text = buf_init(MIB);

    (void)buf_add(&html, STR("<blockquote><ul><li>"));
    for (int i = 0; i < 500; i++)
        (void)buf_printf(&html, "%.*s ", 1 + i * 7 % 12, "abcdefghijklmn");
    (void)buf_add(&html, STR("</ul></blockquote><p>"));
    for (int i = 0; i < 100; i++)
        (void)buf_add(&html, STR("\xe4\xb8\xad\xe6\x96\x87\xef\xbc\x8c"));
    assert_true(html_text(buf_str(&html), &text));
    for (struct str rest = buf_str(&text); rest.n > 0;) {
        struct str line = str_cut(&rest, '\n');
        size_t width = 0;
        uint32_t c;

        assert_false(str_starts(line, STR("\xef\xbc\x8c"))); /* no line begins with a comma */
        while (utf8_cut(&line, &c))
            width += c < 0x3000 ? 1 : 2;
        assert_in_range(width, 0, HTML_LINE_WIDTH + 2); /* a comma hangs over */
    }
    buf_free(&html);
    buf_free(&text);
}

static void repeat(struct buf *to, const char *text, size_t count)
{
    while (count-- > 0)
        (void)buf_add_c(to, text);
}

/* Neither depth nor number costs more than it is worth, and nothing is lost but its form. */
static void deep_and_many(void **state)
{
    static const struct {
        const char *before, *after;
    } nests[] = {
        {"<div>", "</div>"},          {"<blockquote>", "</blockquote>"}, {"<b>", ""},
        {"<ul><li>", "</ul>"},        {"<table><tr><td>", "</table>"},   {"<pre>", "</pre>"},
        {"<span hidden>", "</span>"}, {"<a href=http://a.b>", "</a>"},
    };

    for (size_t i = 0; i < countof(nests); i++)
        for (size_t count = 1; count < 3000; count = count * 3 + 1) {
            struct buf html = buf_init(MIB), text = buf_init(MIB);

            repeat(&html, nests[i].before, count);
            (void)buf_add(&html, STR("deep"));
            repeat(&html, nests[i].after, count);
            (void)buf_add(&html, STR("<p>last"));
            assert_true(html_text(buf_str(&html), &text));
            bool hidden = strstr(nests[i].before, "hidden") != NULL;
            assert_true((str_find_str(buf_str(&text), STR("deep")) < text.n) != hidden);
            assert_true(str_ends(buf_str(&text), STR("last\n")));
            buf_free(&html);
            buf_free(&text);
        }

    struct buf html = buf_init(4 * MIB), text = buf_init(4 * MIB);
    (void)buf_add(&html, STR("<table>"));
    repeat(&html, "<tr><td>x<td>y", 30000);
    assert_true(html_text(buf_str(&html), &text));
    assert_true(text.n > 60000);
    buf_free(&html);
    buf_free(&text);
}

static void what_does_not_fit(void **state)
{
    struct buf small = buf_init(10);

    assert_false(html_text(STR("<p>more than ten bytes"), &small));
    buf_reset(&small);
    assert_false(html_text(STR("<table><tr><td>more than<td>ten bytes"), &small));
    buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paragraphs),
        cmocka_unit_test(characters),
        cmocka_unit_test(what_is_not_shown),
        cmocka_unit_test(links),
        cmocka_unit_test(lists),
        cmocka_unit_test(quotes),
        cmocka_unit_test(tables),
        cmocka_unit_test(lines_are_wrapped),
        cmocka_unit_test(deep_and_many),
        cmocka_unit_test(what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
