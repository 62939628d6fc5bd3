//! What the store gives back is what was put in, or nothing.

use super::header::HEADER;
use super::*;
use crate::purge::{Born, PurgeId, SelectorHash, Selectors};
use crate::semantics::freshness::{Freshness, Source, StaleUse};
use crate::store::entry::{Place, PreparedHead};
use crate::time::Wall;
use http::{HeaderValue, StatusCode};
use proptest::prelude::*;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const CLOCK: StoreClock = StoreClock { mono: Mono(90_000), store_ms: 1_767_225_600_000 };
const BODY: &[u8] = b"the body that nobody else may read";

fn key() -> Key {
    Key::new(7, b"https shop.example.com /products/1?a=b")
}

fn keys(bytes: &[u8]) -> Keys {
    Keys(bytes.iter().map(|byte| [*byte; 32]).collect())
}

fn names() -> Names {
    Names::new("larder", None, &keys(&[]))
}

/// Without and with seal.
fn codecs() -> [Codec; 2] {
    [Codec::new(&keys(&[])), Codec::new(&keys(&[1]))]
}

fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
    list.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

fn meta() -> Meta {
    let mut headers = fields(&[("date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("content-type", "text/html")]);
    headers.append("link", HeaderValue::from_static("</a>; rel=preload"));
    headers.append("link", HeaderValue::from_static("</b>; rel=preload"));
    headers.append("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let mut secret = HeaderValue::from_static("only-for-you");
    secret.set_sensitive(true);
    headers.append("x-secret", secret);
    Meta {
        status: StatusCode::OK,
        headers,
        freshness: Freshness {
            lifetime: Duration::from_secs(600),
            source: Source::SMaxage,
            initial_age: Duration::from_millis(1500),
            stale: StaleUse {
                while_revalidate: Duration::from_secs(60),
                if_error: Duration::from_secs(3600),
                when_disconnected: true,
                max_stale: false,
            },
            must_validate: false,
            immutable: true,
            no_transform: true,
        },
        control: fields(&[("surrogate-control", "max-age=600"), ("surrogate-key", "p:1")]),
        arrived: Mono(80_000),
        began: Mono(79_800),
        received: Wall(1_767_225_590_000),
        date: Wall(1_767_225_589_000),
        keep: Duration::from_secs(600),
        nominated: Arc::from([HeaderName::from_static("accept-language")]),
        variant: b"\0\0\0\x0faccept-language\x01\0\0\0\x02de".as_slice().into(),
        born: Born { id: PurgeId(0x0102_0304_0506_0708), local: 5 },
        selectors: Arc::new(Selectors::from_stored((1..=6).map(SelectorHash).collect(), 4).unwrap()),
        place: Arc::new(Place {
            scheme: "https",
            authority: "shop.example.com".into(),
            url: "/products/1?a=b".into(),
        }),
        raw_tags: "p:1 products".into(),
        fetch_time: Duration::from_micros(200_123),
        rule: Arc::from("product pages"),
        origin: Arc::from("app"),
    }
}

fn entry_of(meta: Meta, body: &[&[u8]], trailers: Option<HeaderMap>) -> Entry {
    let body: Vec<Bytes> = body.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let length = body.iter().map(|piece| piece.len() as u64).sum();
    Entry::new(meta, body, length, trailers, PreparedHead::default())
}

fn small() -> Entry {
    entry_of(meta(), &[&BODY[..9], b"", &BODY[9..]], Some(fields(&[("x-sum", "abc")])))
}

/// Three pieces, the last of them short.
fn large() -> Entry {
    let bytes: Vec<u8> = (0..CHUNK_SIZE * 2 + 21).map(|n| (n % 251) as u8).collect();
    let parts: Vec<&[u8]> = bytes.chunks(10_007).collect();
    entry_of(meta(), &parts, None)
}

fn encode(codec: &Codec, entry: &Entry) -> Encoded {
    codec.encode(&key(), &names(), entry, CLOCK).unwrap()
}

fn decode(codec: &Codec, encoded: &Encoded, bytes: impl Into<Vec<u8>>) -> Result<Record, BadValue> {
    codec.decode_record(&key(), &encoded.name, Bytes::from(bytes.into()), CLOCK)
}

fn chunked(record: Record) -> Chunked {
    match record {
        Record::Chunked(chunked) => *chunked,
        Record::Whole(_) => panic!("the body is in the record"),
    }
}

/// All there is to say about metadata, but for what belongs to one node.
fn facts(meta: &Meta, trailers: Option<&HeaderMap>) -> String {
    let values = |map: &HeaderMap| {
        map.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec(), v.is_sensitive())).collect::<Vec<_>>()
    };
    let lists = [Some(&meta.headers), Some(&meta.control), trailers].map(|map| map.map(values));
    let meta = Meta { born: Born::shared(meta.born.id), began: NEVER, ..meta.clone() };
    format!("{meta:?} {lists:?}")
}

fn bytes_of(body: &[Bytes]) -> Vec<u8> {
    body.concat()
}

/// Writes the entry and reads it again.
fn there_and_back(codec: &Codec, entry: &Entry) -> Stored {
    let encoded = encode(codec, entry);
    match decode(codec, &encoded, encoded.record.clone()).unwrap() {
        Record::Whole(stored) => *stored,
        Record::Chunked(mut record) => {
            assert_eq!(record.pieces(), encoded.chunks.pieces());
            for chunk in encoded.chunks {
                record.push(&names().of(&key()), Some(chunk.unwrap().1)).unwrap();
            }
            record.finish().unwrap()
        }
    }
}

/// What somebody who can write to the store does after changing a value: the checksum is no secret.
fn sum_again(name: &str, start: usize, bytes: &mut [u8]) {
    let seed = xxh3_64_with_seed(&bytes[..start - 8], xxh3_64(name.as_bytes()));
    let sum = xxh3_64_with_seed(&bytes[start..], seed);
    bytes[start - 8..start].copy_from_slice(&sum.to_be_bytes());
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    out[bit / 8] ^= 1 << (bit % 8);
    out
}

#[test]
fn a_response_comes_back_as_it_was_with_and_without_seal() {
    for codec in codecs() {
        for entry in [small(), large(), entry_of(meta(), &[], None)] {
            let stored = there_and_back(&codec, &entry);
            assert_eq!(
                facts(&stored.meta, stored.trailers.as_ref()),
                facts(&entry.describe(), entry.trailers().as_ref())
            );
            assert_eq!(stored.meta.born, Born::shared(entry.born.id));
            assert_eq!(stored.meta.began, NEVER);
            assert_eq!((stored.length, bytes_of(&stored.body)), (entry.length, bytes_of(&entry.body)));
        }
    }
}

#[test]
fn bodies_change_from_the_record_to_pieces_at_the_limit() {
    for (length, chunks) in [(MAX_INLINE, 0), (MAX_INLINE + 1, 1), (CHUNK_SIZE, 1), (CHUNK_SIZE + 1, 2)] {
        let entry = entry_of(meta(), &[&vec![7; length]], None);
        for codec in codecs() {
            assert_eq!(encode(&codec, &entry).chunks.pieces(), chunks, "{length}");
            assert_eq!(there_and_back(&codec, &entry).length, length as u64);
        }
    }
}

#[test]
fn the_head_says_in_clear_what_scripts_need() {
    for codec in codecs() {
        let encoded = encode(&codec, &small());
        assert_eq!(encoded.record[BORN], [1, 2, 3, 4, 5, 6, 7, 8]);
        let header = Header::read(&encoded.record).unwrap();
        assert_eq!(header.born, PurgeId(0x0102_0304_0506_0708));
        assert_eq!(header.generation, encoded.generation);
        let ago = |mono: u64| CLOCK.store_ms - (CLOCK.mono.0 - mono);
        assert_eq!(header.stored_at, CLOCK.store_ms);
        assert_eq!(header.began, ago(79_800));
        assert_eq!(header.fresh_until, ago(80_000) + 598_500);
        assert_eq!(header.useless_after, ago(80_000) + 598_500 + 3_600_000);
        assert_eq!(encoded.px, Duration::from_millis(598_500 + 3_600_000 - 10_000));
    }
}

#[test]
fn what_is_of_no_use_any_more_is_not_worth_writing() {
    let late = StoreClock { mono: Mono(80_000 + 598_500 + 3_600_000), ..CLOCK };
    let [codec, _] = codecs();
    assert_eq!(codec.encode(&key(), &names(), &small(), late).unwrap().px, Duration::ZERO);
    let mut forever = meta();
    forever.freshness.lifetime = Duration::MAX;
    let forever = codec.encode(&key(), &names(), &entry_of(forever, &[], None), CLOCK).unwrap();
    assert_eq!(forever.px, LONGEST);
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_record_is_refused() {
    for codec in codecs() {
        let encoded = encode(&codec, &small());
        let record = &encoded.record;
        for bit in 0..record.len() * 8 {
            assert!(decode(&codec, &encoded, flipped(record, bit)).is_err(), "bit {bit}");
        }
        for length in 0..record.len() {
            let result = decode(&codec, &encoded, &record[..length]);
            assert_eq!(result.unwrap_err(), BadValue::Truncated, "cut at {length}");
        }
        let longer = [record.as_ref(), b"\0"].concat();
        assert_eq!(decode(&codec, &encoded, longer).unwrap_err(), BadValue::Malformed);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_piece_is_refused() {
    for codec in codecs() {
        let encoded = encode(&codec, &large());
        let (record, of_key) = (encoded.record.clone(), names().of(&key()));
        let chunks: Vec<Bytes> = encoded.chunks.map(|chunk| chunk.unwrap().1).collect();
        let mut partial = chunked(codec.decode_record(&key(), &encoded.name, record, CLOCK).unwrap());
        partial.push(&of_key, Some(chunks[0].clone())).unwrap();
        partial.push(&of_key, Some(chunks[1].clone())).unwrap();
        let last = &chunks[2];
        for bit in 0..last.len() * 8 {
            assert!(partial.push(&of_key, Some(flipped(last, bit).into())).is_err(), "bit {bit}");
        }
        for length in 0..last.len() {
            let result = partial.push(&of_key, Some(last.slice(..length)));
            assert_eq!(result, Err(BadValue::Truncated), "cut at {length}");
        }
        // What was refused did no harm.
        partial.push(&of_key, Some(last.clone())).unwrap();
        assert_eq!(bytes_of(&partial.finish().unwrap().body), bytes_of(&large().body));
    }
}

#[test]
fn whoever_can_write_to_the_store_can_change_no_bit_of_what_is_sealed() {
    let [_, codec] = codecs();
    let encoded = encode(&codec, &small());
    for bit in 0..encoded.record.len() * 8 {
        let mut bytes = flipped(&encoded.record, bit);
        sum_again(&encoded.name, HEADER, &mut bytes);
        let result = decode(&codec, &encoded, bytes);
        // In the checksum itself nothing is left changed.
        assert_eq!(result.is_ok(), (HEADER - 8..HEADER).contains(&(bit / 8)), "bit {bit}");
    }
    let mut other = flipped(&encoded.record, 0);
    sum_again(&encoded.name, HEADER, &mut other);
    assert_eq!(decode(&codec, &encoded, other).unwrap_err(), BadValue::Version);
    // Without its flag it has the length of another value.
    for (byte, wanted) in [(15, BadValue::Tampered), (64, BadValue::Sealed), (7, BadValue::Malformed)] {
        let mut bytes = flipped(&encoded.record, byte * 8);
        sum_again(&encoded.name, HEADER, &mut bytes);
        assert_eq!(decode(&codec, &encoded, bytes).unwrap_err(), wanted, "byte {byte}");
    }
}

#[test]
fn a_value_under_another_name_is_refused() {
    let (stolen, mine) = (names().of(&Key::new(7, b"other")).record(None), encode(&codecs()[1], &small()));
    let [plain, sealed] = codecs();
    // Moved as it is: the name is in the checksum.
    let result = sealed.decode_record(&key(), &stolen, mine.record.clone(), CLOCK);
    assert_eq!(result.unwrap_err(), BadValue::Checksum);
    // Moved by somebody who knows how: it is in the seal.
    let mut bytes = mine.record.to_vec();
    sum_again(&stolen, HEADER, &mut bytes);
    let result = sealed.decode_record(&key(), &stolen, bytes.into(), CLOCK);
    assert_eq!(result.unwrap_err(), BadValue::Tampered);
    // Under a name that two keys share: the key itself decides.
    for codec in [plain, sealed] {
        let mine = encode(&codec, &small());
        let result = codec.decode_record(&Key::new(7, b"other"), &mine.name, mine.record, CLOCK);
        assert_eq!(result.unwrap_err(), BadValue::Key);
    }
}

#[test]
fn pieces_of_another_body_or_place_are_refused() {
    let of_key = names().of(&key());
    for codec in codecs() {
        let (one, two) = (encode(&codec, &large()), encode(&codec, &large()));
        assert_ne!(one.generation, two.generation);
        let (generation, name, record) = (one.generation, one.name, one.record);
        let read = || chunked(codec.decode_record(&key(), &name, record.clone(), CLOCK).unwrap());
        let mut partial = read();
        let pieces: Vec<Bytes> = one.chunks.map(|chunk| chunk.unwrap().1).collect();
        let foreign: Vec<Bytes> = two.chunks.map(|chunk| chunk.unwrap().1).collect();
        assert_eq!(partial.push(&of_key, Some(foreign[0].clone())), Err(BadValue::Generation));
        assert_eq!(partial.push(&of_key, Some(pieces[1].clone())), Err(BadValue::Generation));
        assert_eq!(partial.push(&of_key, None), Err(BadValue::MissingChunk));
        assert_eq!(partial.expects(), 0);
        for piece in &pieces {
            partial.push(&of_key, Some(piece.clone())).unwrap();
        }
        assert_eq!(partial.push(&of_key, Some(pieces[2].clone())), Err(BadValue::Generation));
        partial.finish().unwrap();

        // With number and generation made to fit, only the seal sees it.
        let name = of_key.chunk(generation, 0);
        for source in [&pieces[1], &foreign[0]] {
            let mut forged = source.to_vec();
            forged[8..24].copy_from_slice(generation.as_bytes());
            forged[28..32].fill(0);
            sum_again(&name, PIECE, &mut forged);
            let mut partial = read();
            let result = partial.push(&of_key, Some(forged.into()));
            assert_eq!(result, if codec.masters.len() > 0 { Err(BadValue::Tampered) } else { Ok(()) });
        }
    }
}

#[test]
fn pieces_of_a_sealed_body_are_sealed_by_the_same_key() {
    let of_key = names().of(&key());
    let [plain, sealed] = codecs();
    let (generation, other) = (Generation::from_bytes([9; 16]), Codec::new(&keys(&[2])));
    let write = |codec: &Codec| codec.encode_as(generation, &key(), &names(), &large(), CLOCK).unwrap();
    let first = |codec: &Codec| write(codec).chunks.next().unwrap().unwrap().1;
    let read = |codec: &Codec| chunked(decode(codec, &write(codec), write(codec).record).unwrap());
    let mut partial = read(&sealed);
    assert_eq!(partial.push(&of_key, Some(first(&plain))), Err(BadValue::Unsealed));
    assert_eq!(partial.push(&of_key, Some(first(&other))), Err(BadValue::Sealed));
    assert_eq!(partial.push(&of_key, Some(first(&sealed))), Ok(()));
    assert_eq!(read(&plain).push(&of_key, Some(first(&sealed))), Err(BadValue::Sealed));
}

#[test]
fn a_body_that_lacks_a_piece_is_no_body() {
    let [codec, _] = codecs();
    let encoded = encode(&codec, &large());
    let mut partial = chunked(decode(&codec, &encoded, encoded.record.clone()).unwrap());
    assert_eq!((partial.head().length, partial.head().body.len()), (large().length, 0));
    assert_eq!(partial.generation(), encoded.generation);
    for chunk in encoded.chunks.take(2) {
        partial.push(&names().of(&key()), Some(chunk.unwrap().1)).unwrap();
    }
    assert_eq!(partial.finish().unwrap_err(), BadValue::MissingChunk);
}

#[test]
fn rulings_34_the_first_key_seals_and_all_open() {
    let [plain, old] = codecs();
    let (rotated, later) = (Codec::new(&keys(&[2, 1])), Codec::new(&keys(&[2])));
    let by_old = encode(&old, &small());
    let by_new = encode(&rotated, &small());
    assert!(decode(&rotated, &by_old, by_old.record.clone()).is_ok());
    assert!(decode(&later, &by_new, by_new.record.clone()).is_ok());
    assert_eq!(decode(&later, &by_old, by_old.record.clone()).unwrap_err(), BadValue::Sealed);
    assert_eq!(decode(&old, &by_new, by_new.record.clone()).unwrap_err(), BadValue::Sealed);
    assert_eq!(decode(&plain, &by_new, by_new.record.clone()).unwrap_err(), BadValue::Sealed);
    // Whoever can write to the store can't get rid of the seal by leaving it off.
    let bare = encode(&plain, &small());
    assert_eq!(decode(&old, &bare, bare.record.clone()).unwrap_err(), BadValue::Unsealed);
}

#[test]
fn a_sealed_value_shows_nothing_of_what_it_holds() {
    let [plain, sealed] = codecs();
    let found = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    let texts: [&[u8]; 9] = [
        BODY,
        &BODY[..9],
        b"/products/1",
        b"shop.example.com",
        b"only-for-you",
        b"content-type",
        b"accept-language",
        b"p:1",
        b"product pages",
    ];
    for text in texts {
        assert!(found(&encode(&plain, &small()).record, text), "a test that can fail");
        assert!(!found(&encode(&sealed, &small()).record, text));
    }
    let part = &bytes_of(&large().body)[100..132];
    let holds = |codec: &Codec| encode(codec, &large()).chunks.any(|chunk| found(&chunk.unwrap().1, part));
    assert!(holds(&plain));
    assert!(!holds(&sealed));
    let same: Vec<Bytes> = (0..2).map(|_| encode(&sealed, &small()).record).collect();
    assert_ne!(same[0][HEADER..], same[1][HEADER..], "every value has a key of its own");
}

#[test]
fn no_two_pieces_are_sealed_with_one_nonce() {
    // Under one key and nonce, pieces of zeros would be the same bytes.
    let zeros = entry_of(meta(), &[&vec![0; CHUNK_SIZE * 3]], None);
    let [_, codec] = codecs();
    let mut pieces: Vec<Vec<u8>> =
        encode(&codec, &zeros).chunks.map(|chunk| chunk.unwrap().1[PIECE..PIECE + 64].to_vec()).collect();
    pieces.sort();
    pieces.dedup();
    assert_eq!(pieces.len(), 3);
}

#[test]
fn the_format_is_the_same_on_every_node_and_in_every_release() {
    // If this fails, the format has changed: give it a new `VERSION`, and pin what comes out. That the sealed values
    // pinned here open as the head of `seal.rs` says was checked with another implementation of its algorithms.
    let generation = Generation::from_bytes([9; 16]);
    let sums = codecs().map(|codec| {
        [small(), large()].map(|entry| {
            let encoded = codec.encode_as(generation, &key(), &names(), &entry, CLOCK).unwrap();
            let pieces: Vec<u8> = encoded.chunks.flat_map(|chunk| chunk.unwrap().1).collect();
            (xxh3_64(&encoded.record), xxh3_64(&pieces))
        })
    });
    assert_eq!((VERSION, sums), (1, PINNED));
}

/// Record and pieces; small and large; without and with seal.
const PINNED: [[(u64, u64); 2]; 2] = [
    [
        (2_151_475_017_431_198_531, 3_244_421_341_483_603_138),
        (2_406_746_354_518_964_311, 14_540_564_865_766_277_706),
    ],
    [
        (25_652_698_363_380_274, 3_244_421_341_483_603_138),
        (16_003_193_655_668_013_915, 15_813_617_108_285_666_170),
    ],
];

#[test]
fn another_version_is_refused_whatever_else_it_says() {
    let [codec, _] = codecs();
    let encoded = encode(&codec, &small());
    for version in [0u16, 2, 0x0100, u16::MAX] {
        let mut bytes = encoded.record.to_vec();
        bytes[4..6].copy_from_slice(&version.to_be_bytes());
        sum_again(&encoded.name, HEADER, &mut bytes);
        assert_eq!(decode(&codec, &encoded, bytes).unwrap_err(), BadValue::Version);
    }
    for other in [b"", MARK, b"LRDC", b"LRDR\0", b"+OK"] {
        assert!(matches!(
            decode(&codec, &encoded, other).unwrap_err(),
            BadValue::Version | BadValue::Truncated
        ));
    }
    assert_eq!(decode(&codec, &encoded, MARK).unwrap_err(), BadValue::Version);
}

#[test]
fn impossible_numbers_are_refused_before_anything_is_made_of_them() {
    let [codec, _] = codecs();
    let encoded = encode(&codec, &large());
    let good = Header::read(&encoded.record).unwrap();
    let cases = [
        Header { meta: u32::MAX, ..good },
        Header { meta: MAX_META as u32 + 1, ..good },
        Header { inline: 1, ..good },
        Header { chunks: u32::MAX, ..good },
        Header { chunks: 2, ..good },
        Header { chunks: 0, ..good },
        Header { chunk_size: 0, ..good },
        Header { chunk_size: 1, ..good },
        Header { chunk_size: u32::MAX, total: u64::from(u32::MAX) * 3, ..good },
        Header { chunks: MAX_CHUNKS + 1, total: u64::from(MAX_CHUNKS + 1) * CHUNK_SIZE as u64, ..good },
        Header { total: u64::MAX, ..good },
        Header { total: 0, ..good },
        Header { total: 7, inline: 8, chunks: 0, chunk_size: 0, ..good },
        Header { total: 1 << 20, inline: 1 << 20, chunks: 0, chunk_size: 0, ..good },
    ];
    for header in cases {
        let mut bytes = header.write();
        bytes.extend([0; 8]);
        bytes.extend_from_slice(&encoded.record[HEADER..]);
        sum_again(&encoded.name, HEADER, &mut bytes);
        assert_eq!(decode(&codec, &encoded, bytes).unwrap_err(), BadValue::Malformed, "{header:?}");
    }
}

#[test]
fn what_would_not_be_read_back_is_not_written() {
    let [codec, _] = codecs();
    let refused = |entry: &Entry| codec.encode(&key(), &names(), entry, CLOCK).unwrap_err();
    let mut many = meta();
    for n in many.headers.len()..MAX_FIELDS {
        many.headers.append("x-many", HeaderValue::from(n));
    }
    there_and_back(&codec, &entry_of(many.clone(), &[], None));
    many.headers.append("x-many", HeaderValue::from(0));
    assert_eq!(refused(&entry_of(many, &[], None)), CannotEncode::Metadata);
    let long = Meta { raw_tags: "t".repeat(MAX_META).into(), ..meta() };
    assert_eq!(refused(&entry_of(long, &[], None)), CannotEncode::Metadata);
    let lying = Entry::new(meta(), Bytes::new(), 5, None, PreparedHead::default());
    assert_eq!(refused(&lying), CannotEncode::Body);
}

#[test]
fn of_a_large_body_no_byte_is_copied_when_it_is_read() {
    for codec in codecs() {
        let encoded = encode(&codec, &large());
        let mut partial = chunked(decode(&codec, &encoded, encoded.record.clone()).unwrap());
        for chunk in encoded.chunks {
            let bytes = Bytes::from(chunk.unwrap().1.to_vec());
            let received = bytes.as_ptr_range();
            partial.push(&names().of(&key()), Some(bytes)).unwrap();
            let read = partial.body.last().unwrap().as_ptr_range();
            assert!(received.start <= read.start && read.end <= received.end);
        }
    }
}

#[test]
fn a_small_body_does_not_keep_its_record_in_memory() {
    let [codec, _] = codecs();
    let encoded = encode(&codec, &small());
    let Record::Whole(stored) = decode(&codec, &encoded, encoded.record.clone()).unwrap() else { panic!() };
    assert!(stored.body[0].clone().try_into_mut().is_err(), "two references");
    assert!({ stored.body }[0].is_unique());
}

#[test]
fn rulings_23_age_is_counted_in_the_clock_of_the_store() {
    let [codec, _] = codecs();
    let initial = meta().freshness.initial_age;
    let written = encode(&codec, &small());
    // It had been there for ten seconds when it was written.
    for (reader, resident, arrived) in [
        // An old process, half an hour later.
        ((5_000_000, 1_800_000), 1_810_000, 5_000_000 - 1_810_000),
        // Its clock began after the response arrived.
        ((500, 1_800_000), 1_810_000, 0),
        ((0, 0), 10_000, 0),
        // The store's clock stands behind when it is read: not younger than when it arrived, not in the future.
        ((7_000, -4_000), 6_000, 1_000),
        ((7_000, -60_000), 0, 7_000),
    ] {
        let (mono, later): (u64, i64) = reader;
        let now = StoreClock { mono: Mono(mono), store_ms: CLOCK.store_ms.saturating_add_signed(later) };
        let record = codec.decode_record(&key(), &written.name, written.record.clone(), now).unwrap();
        let Record::Whole(stored) = record else { panic!() };
        assert_eq!(stored.meta.arrived, Mono(arrived));
        assert_eq!(stored.meta.age(now.mono), initial + Duration::from_millis(resident));
    }
}

#[test]
fn what_selects_variants_comes_back_or_nothing() {
    let name = names().of(&key()).vary();
    let nominated = [HeaderName::from_static("accept-language"), HeaderName::from_static("x-tenant")];
    for codec in codecs() {
        let bytes = codec.encode_vary(&key(), &names(), &nominated).unwrap();
        let read = |bytes: Vec<u8>| codec.decode_vary(&key(), &name, bytes.into());
        assert_eq!(*read(bytes.to_vec()).unwrap(), nominated);
        let sealed = codec.masters.len() > 0;
        assert_eq!(sealed, !bytes.windows(8).any(|window| window == b"x-tenant"));
        for bit in 0..bytes.len() * 8 {
            assert!(read(flipped(&bytes, bit)).is_err(), "bit {bit}");
            let mut forged = flipped(&bytes, bit);
            sum_again(&name, PIECE, &mut forged);
            assert!(!sealed || read(forged).is_err() || (36..44).contains(&(bit / 8)), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(read(bytes[..length].to_vec()), Err(BadValue::Truncated));
        }
        let other = Key::new(7, b"other");
        assert_eq!(codec.decode_vary(&other, &name, bytes.clone()), Err(BadValue::Key));
        assert_eq!(codec.decode_vary(&key(), "elsewhere", bytes), Err(BadValue::Checksum));
    }
    let many: Vec<HeaderName> =
        (0..65).map(|n| HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap()).collect();
    let [codec, sealed] = codecs();
    assert_eq!(codec.encode_vary(&key(), &names(), &many), Err(CannotEncode::Metadata));
    let bare = codec.encode_vary(&key(), &names(), &nominated).unwrap();
    assert_eq!(sealed.decode_vary(&key(), &name, bare), Err(BadValue::Unsealed));
}

#[test]
fn every_reason_has_its_own_word() {
    let mut words = BadValue::ALL.map(BadValue::as_str).to_vec();
    words.sort();
    words.dedup();
    assert_eq!(words.len(), BadValue::ALL.len());
}

fn any_fields() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![Just("link".to_owned()), Just("content-type".to_owned()), "[a-z][a-z0-9-]{0,20}",];
    let value = proptest::collection::vec(prop_oneof![Just(b'\t'), 32u8..=126, 128u8..=255], 0..60);
    let field = (name, value, any::<bool>());
    proptest::collection::vec(field, 0..20).prop_map(|list| {
        let mut map = HeaderMap::new();
        for (name, value, sensitive) in list {
            let mut value = HeaderValue::from_bytes(&value).unwrap();
            value.set_sensitive(sensitive);
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        map
    })
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0u64..100_000_000_000).prop_map(Duration::from_nanos),
        (any::<u64>(), 0u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n)),
    ]
}

fn any_freshness() -> impl Strategy<Value = Freshness> {
    let source = prop_oneof![
        Just(Source::Rule),
        Just(Source::SMaxage),
        Just(Source::MaxAge),
        Just(Source::Expires),
        Just(Source::Negative),
        Just(Source::Default),
        Just(Source::Heuristic),
        Just(Source::None),
    ];
    let flags = any::<[bool; 5]>();
    (any_duration(), source, any_duration(), any_duration(), any_duration(), flags).prop_map(
        |(lifetime, source, initial_age, while_revalidate, if_error, flags)| Freshness {
            lifetime,
            source,
            initial_age,
            stale: StaleUse { while_revalidate, if_error, when_disconnected: flags[0], max_stale: flags[1] },
            must_validate: flags[2],
            immutable: flags[3],
            no_transform: flags[4],
        },
    )
}

fn any_selectors() -> impl Strategy<Value = Selectors> {
    (2usize..=68, proptest::collection::vec(any::<u64>(), 68..120)).prop_map(|(implicit, hashes)| {
        Selectors::from_stored(hashes.into_iter().map(SelectorHash).collect(), implicit).unwrap()
    })
}

prop_compose! {
    fn any_meta()(
        status in 200u16..=599,
        headers in any_fields(),
        control in any_fields(),
        freshness in any_freshness(),
        arrived in 0..=CLOCK.mono.0,
        walls in any::<[u64; 3]>(),
        keep in any_duration(),
        fetch_time in any_duration(),
        nominated in proptest::collection::vec("[a-z]{1,9}", 0..=4),
        variant in proptest::collection::vec(any::<u8>(), 0..80),
        selectors in any_selectors(),
        scheme in prop_oneof![Just("http"), Just("https")],
        texts in any::<[String; 5]>(),
    ) -> Meta {
        let [authority, url, raw_tags, rule, origin] = texts;
        Meta {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            freshness,
            control,
            arrived: Mono(arrived),
            began: Mono(arrived),
            received: Wall(walls[0]),
            date: Wall(walls[1]),
            keep,
            nominated: nominated.iter().map(|n| HeaderName::from_bytes(n.as_bytes()).unwrap()).collect(),
            variant: variant.into(),
            born: Born { id: PurgeId(walls[2]), local: 0 },
            selectors: Arc::new(selectors),
            place: Arc::new(Place { scheme, authority: authority.into(), url: url.into() }),
            raw_tags: raw_tags.into(),
            fetch_time,
            rule: rule.into(),
            origin: origin.into(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_response_comes_back_as_it_was(
        meta in any_meta(),
        trailers in proptest::option::of(any_fields()),
        length in prop_oneof![0usize..2000, MAX_INLINE - 2..MAX_INLINE + 3, 0..CHUNK_SIZE * 3],
        pieces in 1usize..70_000,
    ) {
        let bytes: Vec<u8> = (0..length).map(|n| (n % 253) as u8).collect();
        let entry = entry_of(meta, &bytes.chunks(pieces).collect::<Vec<_>>(), trailers);
        for codec in codecs() {
            let stored = there_and_back(&codec, &entry);
            prop_assert_eq!(
                facts(&stored.meta, stored.trailers.as_ref()),
                facts(&entry.describe(), entry.trailers().as_ref())
            );
            prop_assert!(bytes_of(&stored.body) == bytes, "another body");
        }
    }

    #[test]
    fn age_is_exact_whatever_the_clocks_say(
        initial_age in any_duration(),
        arrived in any::<u64>(),
        writer in any::<[u64; 2]>(),
        reader in any::<[u64; 2]>(),
        near in any::<bool>(),
    ) {
        // Half of the cases in the ranges that clocks have.
        let scale = |n: u64| if near { n % (1 << 32) } else { n };
        let clock = |[mono, ms]: [u64; 2]| StoreClock { mono: Mono(scale(mono)), store_ms: scale(ms) };
        let (writer, reader) = (clock(writer), clock(reader));
        let mut meta = meta();
        meta.freshness.initial_age = initial_age;
        meta.arrived = Mono(scale(arrived));
        let [codec, _] = codecs();
        let entry = entry_of(meta.clone(), &[], None);
        // An entry knows spans of up to 136 years.
        let initial_age = entry.freshness().initial_age;
        let written = codec.encode(&key(), &names(), &entry, writer).unwrap();
        let record = codec.decode_record(&key(), &written.name, written.record, reader).unwrap();
        let Record::Whole(stored) = record else { panic!() };
        let then = i128::from(writer.store_ms) - i128::from(writer.mono.0) + i128::from(meta.arrived.0);
        let then = u64::try_from(then.max(0)).unwrap_or(u64::MAX);
        let resident = Duration::from_millis(reader.store_ms.saturating_sub(then));
        prop_assert!(stored.meta.arrived <= reader.mono);
        prop_assert_eq!(stored.meta.age(reader.mono), initial_age.saturating_add(resident));
    }

    #[test]
    fn no_bytes_make_decoding_panic(
        random in proptest::collection::vec(any::<u8>(), 0..400),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        sum in any::<bool>(),
    ) {
        let of_key = names().of(&key());
        for codec in codecs() {
            let mutate = |bytes: &[u8], name: &str, start: usize| {
                let mut bytes = bytes.to_vec();
                for (at, to) in &changes {
                    let at = at.index(bytes.len());
                    bytes[at] = *to;
                }
                if !sum {
                    bytes.truncate(cut.index(bytes.len()));
                } else {
                    sum_again(name, start, &mut bytes);
                }
                bytes
            };
            let whole = encode(&codec, &small());
            let large = encode(&codec, &large());
            let vary = codec.encode_vary(&key(), &names(), &[http::header::ACCEPT]).unwrap();
            let _ = decode(&codec, &whole, random.clone());
            let _ = decode(&codec, &whole, mutate(&whole.record, &whole.name, HEADER));
            // Random metadata behind a head that fits.
            let mut header = Header::read(&whole.record).unwrap();
            (header.sealed, header.key_id) = (false, None);
            (header.meta, header.inline, header.total) = (random.len() as u32, 0, 0);
            let mut bytes = [header.write(), vec![0; 8], random.clone()].concat();
            sum_again(&whole.name, HEADER, &mut bytes);
            let _ = decode(&codec, &whole, bytes);

            let mut partial = chunked(decode(&codec, &large, large.record.clone()).unwrap());
            let (name, chunk) = { large.chunks }.next().unwrap().unwrap();
            let _ = partial.push(&of_key, Some(mutate(&chunk, &name, PIECE).into()));
            let _ = partial.push(&of_key, Some(random.clone().into()));
            let _ = codec.decode_vary(&key(), &of_key.vary(), mutate(&vary, &of_key.vary(), PIECE).into());
            let _ = codec.decode_vary(&key(), &of_key.vary(), random.clone().into());
        }
    }
}
