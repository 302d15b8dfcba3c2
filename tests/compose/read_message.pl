#!/usr/bin/perl
# tests/compose/read_message.pl - a message on standard input as MIME::Parser reads it, in JSON.
# SPDX-License-Identifier: ISC
use strict;
use warnings;
use Encode qw(decode);
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use MIME::Parser;
use MIME::Parser::Results;
use Mail::Address;

my $parser = MIME::Parser->new;
$parser->output_to_core(1);
$parser->tmp_to_core(1);
$parser->extract_nested_messages(0);
my $message = $parser->parse(\*STDIN);

sub header {
    my ($entity, $name) = @_;
    my $raw = $entity->head->get($name);
    return undef unless defined $raw;
    $raw =~ s/\r?\n(?=[ \t])//g;
    $raw =~ s/\s+\z//;
    $raw =~ s/^ //;
    return decode('MIME-Header', $raw);
}

sub addresses {
    my ($name) = @_;
    my @raw = $message->head->get($name);
    return [map { [decode('MIME-Header', $_->phrase // '') =~ s/^"(.*)"$/$1/sr, lc $_->address] } Mail::Address->parse(@raw)];
}

my @leaves;

sub walk {
    my ($entity, $depth) = @_;
    my @parts = $entity->parts;
    if (@parts) {
        walk($_, $depth + 1) for @parts;
        return;
    }
    my $head = $entity->head;
    my $name = $head->mime_attr('content-disposition.filename');
    my $type_name = $head->mime_attr('content-type.name');
    my $body = $entity->bodyhandle;
    push @leaves, {
        type => lc $entity->mime_type,
        charset => lc($head->mime_attr('content-type.charset') // ''),
        disposition => lc($head->mime_attr('content-disposition') // ''),
        name => $name,
        type_name => $type_name,
        id => $head->get('Content-Id') // '',
        content => encode_base64(defined $body ? $body->as_string : '', ''),
    };
}
walk($message, 0);
my @warnings = ($parser->results->errors, $parser->results->warnings);

binmode STDOUT;
print JSON::PP->new->utf8->encode({
    subject => header($message, 'Subject'),
    from => addresses('From'),
    to => addresses('To'),
    type => lc $message->mime_type,
    leaves => \@leaves,
    complaints => \@warnings,
});
