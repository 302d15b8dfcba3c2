#!/usr/bin/perl
# tests/compose/verify_dkim.pl - verify_dkim.pl RECORD: what Mail::DKIM says of the message on standard
# input, with this text as every DNS record of a key.
# SPDX-License-Identifier: ISC
use strict;
use warnings;
use Mail::DKIM::PublicKey;
use Mail::DKIM::Verifier;

my $record = shift;
{
    no warnings 'redefine';
    *Mail::DKIM::PublicKey::fetch_async = sub {
        my ($class, %how) = @_;
        my $key = $class->parse($record);
        @$key{'Selector', 'Domain'} = @how{'Selector', 'Domain'};
        $key->check;
        return sub { $how{Callbacks}{Success}->($key) };
    };
}
my $verifier = Mail::DKIM::Verifier->new;
binmode STDIN;
$verifier->load(*STDIN);
print $verifier->result_detail, "\n";
