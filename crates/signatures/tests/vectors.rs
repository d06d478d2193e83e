//! Published test vectors of every scheme, and what has to be refused: flipped bits, wrong lengths, wrong kinds of key.

use signatures::{Claim, Encoding, Key, MAX_TAG, Mismatch, Scheme, mac, verify};

fn bytes(hex: &str) -> Vec<u8> {
    signatures::encoding::decode(hex.as_bytes(), Encoding::Hex).unwrap()
}

fn claim<'a>(scheme: Scheme, message: &'a [u8], tag: &'a [u8]) -> Claim<'a> {
    Claim { scheme, message, tag, encoding: Encoding::Raw }
}

/// The claim holds; and it does not with any bit of the tag or message flipped, nor with a tag of another length.
fn holds_and_nothing_near_it_does(scheme: Scheme, key: Key<'_>, message: &[u8], tag: &[u8]) {
    let check = |message: &[u8], tag: &[u8]| verify(&claim(scheme, message, tag), key, 0).is_ok();
    assert!(check(message, tag), "{scheme:?}");
    for bit in 0..tag.len() * 8 {
        let mut flipped = tag.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!check(message, &flipped), "{scheme:?} with bit {bit} of the tag flipped");
    }
    for bit in 0..message.len() * 8 {
        let mut flipped = message.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!check(&flipped, tag), "{scheme:?} with bit {bit} of the message flipped");
    }
    let longer = [tag, &[0]].concat();
    let doubled = [tag, tag].concat();
    for other in
        [&[][..], &tag[1..], &tag[..tag.len() - 1], &longer, &doubled, &vec![0; tag.len()], &vec![0; MAX_TAG + 1]]
    {
        assert!(!check(message, other), "{scheme:?} with {} bytes of tag", other.len());
    }
}

/// RFC 2202 §3 (SHA-1) and RFC 4231 §4 (SHA-256, SHA-512): key, data, tags.
#[test]
fn hmac_agrees_with_rfc_2202_and_rfc_4231() {
    let vectors: [(Scheme, Vec<u8>, Vec<u8>, &str); 10] = [
        (Scheme::HmacSha1, vec![0x0b; 20], b"Hi There".to_vec(), "b617318655057264e28bc0b6fb378c8ef146be00"),
        (
            Scheme::HmacSha1,
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (Scheme::HmacSha1, vec![0xaa; 20], vec![0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        (
            Scheme::HmacSha1,
            vec![0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112",
        ),
        (
            Scheme::HmacSha256,
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            Scheme::HmacSha256,
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            Scheme::HmacSha256,
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            Scheme::HmacSha512,
            vec![0x0b; 20],
            b"Hi There".to_vec(),
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        ),
        (
            Scheme::HmacSha512,
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        (
            Scheme::HmacSha512,
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        ),
    ];
    for (scheme, key, data, tag) in vectors {
        assert_eq!(mac(scheme, &key, &data).unwrap(), bytes(tag));
        holds_and_nothing_near_it_does(scheme, Key::Secret(&key), &data, &bytes(tag));
    }
}

/// RFC 4231 §4.6: a MAC cut to 128 bits is correct there; here it is refused, because nobody has agreed to it.
#[test]
fn a_truncated_mac_is_refused() {
    let tag = bytes("a3b6167473100ee06e0c796c2955552b");
    assert_eq!(
        verify(&claim(Scheme::HmacSha256, b"Test With Truncation", &tag), Key::Secret(&[0x0c; 20]), 0),
        Err(Mismatch::Wrong)
    );
}

/// RFC 8032 §7.1, tests 1 to 3.
#[test]
fn ed25519_agrees_with_rfc_8032() {
    let vectors = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (public, message, tag) in vectors {
        let message = if message.is_empty() { vec![] } else { bytes(message) };
        holds_and_nothing_near_it_does(Scheme::Ed25519, Key::Public(&bytes(public)), &message, &bytes(tag));
    }
}

#[test]
fn an_ed25519_key_may_be_raw_der_pem_base64_or_hexadecimal() {
    let raw = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let tag = bytes(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );
    let der = [bytes("302a300506032b6570032100"), raw.clone()].concat();
    let base64 = |bytes: &[u8]| String::from_utf8(signatures::encoding::encode(bytes, Encoding::Base64)).unwrap();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(&der));
    let hex = signatures::encoding::to_hex(&raw);
    for key in [&raw[..], &der, pem.as_bytes(), base64(&raw).as_bytes(), base64(&der).as_bytes(), hex.as_bytes()] {
        assert!(verify(&claim(Scheme::Ed25519, b"", &tag), Key::Public(key), 0).is_ok());
    }
    for bad in [&raw[1..], &[0; 31], b"-----BEGIN PUBLIC KEY-----", b"x"] {
        assert!(matches!(verify(&claim(Scheme::Ed25519, b"", &tag), Key::Public(bad), 0), Err(Mismatch::Key(_))));
    }
}

/// With the neutral element as key and as R, and S = 0, the equation of RFC 8032 §5.1.7 holds for every message.
#[test]
fn an_ed25519_key_of_small_order_proves_nothing() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let tag = [neutral, [0; 32]].concat();
    assert!(verify(&claim(Scheme::Ed25519, b"anything", &tag), Key::Public(&neutral), 0).is_err());
}

/// RFC 6979 A.2.5: the key, and its signatures with SHA-256.
const P256_X: &str = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
const P256_Y: &str = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const SAMPLE: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
const TEST: &str = "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083";

#[test]
fn ecdsa_agrees_with_rfc_6979() {
    let key = bytes(&format!("04{P256_X}{P256_Y}"));
    for (message, tag) in [(&b"sample"[..], SAMPLE), (b"test", TEST)] {
        holds_and_nothing_near_it_does(Scheme::EcdsaP256Sha256, Key::Public(&key), message, &bytes(tag));
    }
}

#[test]
fn ecdsa_signatures_may_be_der_and_keys_may_be_compressed_der_or_pem() {
    let (r, s) = TEST.split_at(64);
    // r has its top bit set and takes a leading zero; s begins with 0x01 and takes none.
    let der = bytes(&format!("3045022100{r}0220{s}"));
    let spki = bytes(&format!("3059301306072a8648ce3d020106082a8648ce3d03010703420004{P256_X}{P256_Y}"));
    let base64 = String::from_utf8(signatures::encoding::encode(&spki, Encoding::Base64)).unwrap();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----");
    let compressed = bytes(&format!("03{P256_X}"));
    for key in [&spki[..], base64.as_bytes(), pem.as_bytes(), &compressed] {
        for tag in [&der, &bytes(TEST)] {
            assert!(verify(&claim(Scheme::EcdsaP256Sha256, b"test", tag), Key::Public(key), 0).is_ok());
        }
    }
    let twisted = bytes(&format!("04{P256_Y}{P256_X}"));
    assert!(matches!(
        verify(&claim(Scheme::EcdsaP256Sha256, b"test", &der), Key::Public(&twisted), 0),
        Err(Mismatch::Key(_))
    ));
}

/// As in Wycheproof's "special cases": r or s of zero, or of the group's order.
#[test]
fn ecdsa_signatures_of_zero_or_of_the_order_are_refused() {
    let key = bytes(&format!("04{P256_X}{P256_Y}"));
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (r, s) = TEST.split_at(64);
    let zero = "0".repeat(64);
    for tag in [
        format!("{zero}{zero}"),
        format!("{r}{zero}"),
        format!("{zero}{s}"),
        format!("{order}{s}"),
        format!("{r}{order}"),
    ] {
        assert!(verify(&claim(Scheme::EcdsaP256Sha256, b"test", &bytes(&tag)), Key::Public(&key), 0).is_err());
    }
    for der in ["3006020100020100", "3006020101020101", "30060201000201"] {
        assert!(verify(&claim(Scheme::EcdsaP256Sha256, b"test", &bytes(der)), Key::Public(&key), 0).is_err());
    }
}

/// RFC 7515 A.1: expires at 1300819380.
const HS256: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const HS256_KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// RFC 7515 A.2.
const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const EXPIRES: i64 = 1_300_819_380_000;

fn jwt(scheme: Scheme, token: &str, key: Key<'_>, now: i64) -> Result<(), Mismatch> {
    verify(&claim(scheme, token.as_bytes(), b""), key, now).map(|_| ())
}

fn hs256_key() -> Vec<u8> {
    signatures::encoding::decode(HS256_KEY.as_bytes(), Encoding::Base64Url).unwrap()
}

#[test]
fn tokens_agree_with_rfc_7515() {
    let key = hs256_key();
    assert_eq!(jwt(Scheme::JwtHs256, HS256, Key::Secret(&key), EXPIRES - 1), Ok(()));
    for public in [A2_SPKI, A2_PKCS1] {
        assert_eq!(jwt(Scheme::JwtRs256, RS256, Key::Public(public.as_bytes()), EXPIRES - 1), Ok(()));
    }
}

#[test]
fn a_token_expires_after_a_minute_of_grace() {
    let key = hs256_key();
    assert!(jwt(Scheme::JwtHs256, HS256, Key::Secret(&key), EXPIRES + 59_999).is_ok());
    assert!(matches!(jwt(Scheme::JwtHs256, HS256, Key::Secret(&key), EXPIRES + 60_000), Err(Mismatch::Stale(_))));
}

/// Makes a token, so that its header and claims can be anything.
fn token(header: &str, claims: &str, key: &[u8]) -> String {
    let part = |bytes: &[u8]| String::from_utf8(signatures::encoding::encode(bytes, Encoding::Base64Url)).unwrap();
    let message = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
    let tag = part(&mac(Scheme::HmacSha256, key, message.as_bytes()).unwrap());
    format!("{message}.{tag}")
}

#[test]
fn the_algorithm_is_the_callers_and_not_the_tokens() {
    let key = A2_SPKI.as_bytes();
    // The classic confusion: a public key used as an HMAC secret.
    let forged = token(r#"{"alg":"HS256"}"#, "{}", key);
    assert!(jwt(Scheme::JwtRs256, &forged, Key::Public(key), 0).is_err());
    assert!(matches!(jwt(Scheme::JwtHs256, &forged, Key::Public(key), 0), Err(Mismatch::Key(_))));
    for header in
        [r#"{"alg":"none"}"#, r#"{"alg":"RS256"}"#, r#"{"alg":"hs256"}"#, "{}", r#"{"alg":["HS256"]}"#, "[]", "x"]
    {
        assert!(
            matches!(jwt(Scheme::JwtHs256, &token(header, "{}", b"k"), Key::Secret(b"k"), 0), Err(Mismatch::Tag(_))),
            "{header}"
        );
    }
    assert!(jwt(Scheme::JwtHs256, &token(r#"{"alg":"HS256","typ":"odd"}"#, "{}", b"k"), Key::Secret(b"k"), 0).is_ok());
}

#[test]
fn critical_extensions_and_odd_dates_are_refused() {
    let check = |header: &str, claims: &str| {
        jwt(Scheme::JwtHs256, &token(header, claims, b"k"), Key::Secret(b"k"), 1_000_000_000)
    };
    let plain = r#"{"alg":"HS256"}"#;
    assert!(check(r#"{"alg":"HS256","crit":["exp"]}"#, "{}").is_err());
    assert!(check(plain, r#"{"nbf":1000060}"#).is_ok());
    assert!(matches!(check(plain, r#"{"nbf":1000061}"#), Err(Mismatch::Stale(_))));
    assert!(check(plain, r#"{"exp":1000000.5}"#).is_ok());
    for odd in [r#"{"exp":"1000001"}"#, r#"{"exp":null}"#, "[]", "1"] {
        assert!(check(plain, odd).is_err(), "{odd}");
    }
}

#[test]
fn a_token_is_three_parts_and_none_of_them_can_be_changed() {
    let key = hs256_key();
    for (index, byte) in HS256.bytes().enumerate() {
        let mut changed = HS256.as_bytes().to_vec();
        changed[index] = if byte == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(jwt(Scheme::JwtHs256, &changed, Key::Secret(&key), 0).is_err(), "{index}");
    }
    let unsigned = HS256.rsplit_once('.').unwrap().0;
    for bad in [
        String::new(),
        "..".into(),
        unsigned.into(),
        format!("{unsigned}."),
        format!("{HS256}."),
        format!("{HS256}.x"),
        "a".repeat(MAX_TAG + 1),
    ] {
        assert!(jwt(Scheme::JwtHs256, &bad, Key::Secret(&key), 0).is_err());
    }
}

#[test]
fn rsa_signatures_verify_with_the_key_of_a_certificate() {
    let tag = |text: &str| signatures::encoding::decode(text.as_bytes(), Encoding::Base64).unwrap();
    let der = CERTIFICATE.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    for key in [CERTIFICATE.as_bytes(), &tag(&der)] {
        for (scheme, signed) in [(Scheme::RsaPkcs1Sha1, SIGNED_SHA1), (Scheme::RsaPkcs1Sha256, SIGNED_SHA256)] {
            assert!(verify(&claim(scheme, b"message", &tag(signed)), Key::Public(key), 0).is_ok());
        }
        // The digest's name is signed too.
        assert!(verify(&claim(Scheme::RsaPkcs1Sha256, b"message", &tag(SIGNED_SHA1)), Key::Public(key), 0).is_err());
    }
    let message = RS256.rsplit_once('.').unwrap();
    let signature = signatures::encoding::decode(message.1.as_bytes(), Encoding::Base64Url).unwrap();
    let short = &message.0.as_bytes()[..4];
    assert!(verify(&claim(Scheme::RsaPkcs1Sha256, short, &signature), Key::Public(A2_SPKI.as_bytes()), 0).is_err());
    assert!(
        verify(&claim(Scheme::RsaPkcs1Sha256, message.0.as_bytes(), &signature), Key::Public(A2_SPKI.as_bytes()), 0)
            .is_ok()
    );
    for bit in (0..signature.len() * 8).step_by(61) {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(
            verify(&claim(Scheme::RsaPkcs1Sha256, message.0.as_bytes(), &flipped), Key::Public(A2_SPKI.as_bytes()), 0)
                .is_err()
        );
    }
    for other in [&signature[1..], &[0; 256], &[0xff; 256], &[1], &[signature.as_slice(), &[0]].concat()] {
        assert!(
            verify(&claim(Scheme::RsaPkcs1Sha256, message.0.as_bytes(), other), Key::Public(A2_SPKI.as_bytes()), 0)
                .is_err()
        );
    }
}

#[test]
fn an_rsa_key_of_1024_bits_is_too_weak_to_prove_anything() {
    let tag = signatures::encoding::decode(SIGNED_WEAK.as_bytes(), Encoding::Base64).unwrap();
    let claim = claim(Scheme::RsaPkcs1Sha256, b"message", &tag);
    assert_eq!(
        verify(&claim, Key::Public(WEAK.as_bytes()), 0),
        Err(Mismatch::Key("an RSA key needs 2048 bits or more"))
    );
}

#[test]
fn a_certificate_that_is_cut_off_anywhere_is_no_key() {
    let der: String = CERTIFICATE.lines().filter(|line| !line.starts_with('-')).collect();
    let der = signatures::encoding::decode(der.as_bytes(), Encoding::Base64).unwrap();
    let tag = signatures::encoding::decode(SIGNED_SHA256.as_bytes(), Encoding::Base64).unwrap();
    for length in 1..der.len() {
        assert!(
            verify(&claim(Scheme::RsaPkcs1Sha256, b"message", &tag), Key::Public(&der[..length]), 0).is_err(),
            "{length}"
        );
    }
}

#[test]
fn credentials_are_equal_or_refused() {
    for scheme in [Scheme::SharedSecret, Scheme::Basic, Scheme::Bearer] {
        holds_and_nothing_near_it_does(scheme, Key::Secret(b"user:password"), b"", b"user:password");
        let encoded = Claim { scheme, message: b"", tag: b"dXNlcjpwYXNzd29yZA==", encoding: Encoding::Base64 };
        assert!(verify(&encoded, Key::Secret(b"user:password"), 0).is_ok());
    }
}

#[test]
fn an_empty_or_public_key_never_proves_a_mac_or_a_credential() {
    for scheme in
        [Scheme::HmacSha1, Scheme::HmacSha256, Scheme::HmacSha512, Scheme::SharedSecret, Scheme::Basic, Scheme::Bearer]
    {
        let tag = mac(scheme, b"k", b"m").unwrap_or_else(|_| b"k".to_vec());
        for key in [Key::Secret(b""), Key::Public(b"k"), Key::Public(b"")] {
            assert!(matches!(verify(&claim(scheme, b"m", &tag), key, 0), Err(Mismatch::Key(_))), "{scheme:?}");
        }
        assert!(verify(&claim(scheme, b"m", &tag), Key::Secret(b"k"), 0).is_ok());
    }
}

#[test]
fn only_macs_can_be_made() {
    for scheme in [Scheme::Ed25519, Scheme::RsaPkcs1Sha256, Scheme::JwtHs256, Scheme::SharedSecret] {
        assert!(mac(scheme, b"k", b"m").is_err());
    }
    assert!(mac(Scheme::HmacSha256, b"", b"m").is_err());
}

#[test]
fn errors_and_debug_output_hold_no_secret() {
    let tag = b"wrong-tag".as_slice();
    let error = verify(&claim(Scheme::SharedSecret, b"", tag), Key::Secret(b"s3cr3t"), 0).unwrap_err();
    let told = format!("{error} {error:?} {:?}", Key::Secret(b"s3cr3t"));
    assert!(!told.contains("s3cr3t") && !told.contains("wrong-tag"));
}

// RFC 7515 A.2's key in two forms; the rest was made with OpenSSL for this test: a certificate and signatures over `message`.
const A2_SPKI: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n\
NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n\
P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n\
9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n\
EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n\
FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n\
oQIDAQAB\n\
-----END PUBLIC KEY-----";

const A2_PKCS1: &str = "\
-----BEGIN RSA PUBLIC KEY-----\n\
MIIBCgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W2\n\
6mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMs\n\
D1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5\n\
z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxv\n\
b3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8q2et\n\
hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQAB\n\
-----END RSA PUBLIC KEY-----";

const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIDATCCAemgAwIBAgIULwgrfvbWSWizMTYTOIdtCZoVDXQwDQYJKoZIhvcNAQEL\n\
BQAwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjEyMDMyMzBaGA8yMTI2MTAyODIw\n\
MzIzMFowDzENMAsGA1UEAwwEdGVzdDCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC\n\
AQoCggEBALphLm0IutnzKm2YAsGayBe4qvcewkeWkrbHER+C1G5I8D2+22S4wmeO\n\
2SqPbxRqh15ofDZJcU8VCpEj50JkZ1kVKeZ1ZlvMJUAkdhE6Bud/ZgKqCONzgKiL\n\
PnwTuWpK45TvC8siCAZGycHbkwXgIL432MAmjulYD3fEd67P0ZbJuEHx+CS22Etu\n\
9Gtg67RWdvmfFAMc3mok3scLWFg1feD5hUDeKHsm19cxz+v7s81oYK/fVerkmCd6\n\
aoJEl3+7Imei7G5MQU86pNHjRA5YMHjbOMpUfaWnxQ8iEnKGyIUPn6ucLVsxdcP7\n\
9PbBlYtL6J+2FF2ooWjaV6+Qw+BZiykCAwEAAaNTMFEwHQYDVR0OBBYEFMb6GTF1\n\
DNzL5qwA/qCaN/tOPRN6MB8GA1UdIwQYMBaAFMb6GTF1DNzL5qwA/qCaN/tOPRN6\n\
MA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADggEBABWYFY5Ar/Hj+W60\n\
Dxc9R7fLHHQLqUmMqX/4j5s9FmAmTGjbYrufeEMgCli6wd9b8wkTxY8ZZuz0J7M6\n\
QbygLBIaIPo9Md6m1XCcjBPv0PBUjfBZwwPQIUHekkGa3m1UGtU7mSCyrRHldDXK\n\
Ddet0LcKcH1rpo/PMpHxJQAc2gkuIY+aWCmmB7gtYhYVshxBMqTSkrZdyPLWTh4C\n\
NPiySLWxbw24odblp9Cq0+xjXO0GKbHMX7xJnV/H/8HfD/DWYPTwUECwWYzoPm5a\n\
NElcZVPt6qpATolHR5942NhJ1BwyeLEDv/AlVrN8nswcJUklIZqsEYmPWFDYy9Tk\n\
XQN0YvY=\n\
-----END CERTIFICATE-----";

const WEAK: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDnmfJmUAGTOjPqF9XAfsHfhtPk\n\
mVgr9dnpAjUSLoD80nqOwN1u6zyzc3LOd233LE/QSbtP4RVyfdcljhPdHX7pjcbF\n\
FWbIFjhyDNJeA2zXlnQvM3fnWgjk8krjCeaGR8Ov3ZR+pcPr0SQoqaKcNj6YM25b\n\
IshMCsK3xmQ1X7LXFQIDAQAB\n\
-----END PUBLIC KEY-----";

const SIGNED_SHA1: &str = "\
XzVPAFBFsufliD+ATBpOMdX6p1jYTSdWlZjChZDB/E4E/jIISKw64l3VX1qz14nsxOZv4/yDX/NnM/Li7+oTNF1A729xhflw4r5A\
ij43243SzVhXgzOXKX8rzYSxTJtjKS1RIPkEfHx8zNXEYoJTJ3d7tstSwFsJ3ZlLYKYZiqQadtX3ij5MFJiL8o+EZxahDzNMU80c\
6dqmUiXEpF3zOk3tTGttBVDy0UD8fgxabiz0PuvidMf1fxvOU3C8k56UFU1Bb5pMHPsrePIYaOPjGlF0/yFL+j/YfqUcm5GXXb52\
YLRkaPsjAVSM1K71Ci4s5zvcdXcIiA57UM3/Izf86g==";
const SIGNED_SHA256: &str = "\
ClOcpz6e2Gkqndw1et6lX4+HX2j2QEjkDGUJWGrmDNnxMT4DLXU0HhgBEhWw8GAEnOESsO3ZU0+n0mrGIp7gc6WqeXLmJA5D7y5P\
rziKj1Z7HOzE9K6rnXlJREcT2i5emgoFKKR9cptfcCQQKoAT72szP9stIEQPYd8x44b1I/TW7Zr3t8oQFKPz9bdooBM0LY+QUnbj\
ISuG0KiEdfYDEQ3zJvwEzszUEEtBZTlKQhVWCnkogyfI1zh9SAb5fyfM3N0RRWzWkqcumUb6sAPSUqgMhJfWfkaCWz4nF4QbwtEG\
xKyKuWF4AQ3ENMttaU9itubJkTP8sSc1nm+AzYNGOQ==";
const SIGNED_WEAK: &str = "\
KBignaPc/7/J5+/mW4aYYNgoU9D9LrkyknXJnHFDv0z4UmaNG98VijRedN56VUkCe6daP2qQKCIg6dIP7xUzcVR3Fj0uXFWkmaOU\
+jBGdxScrNp+6rEUP9K+D+Wvf9tD9p2o3ez86hCyAZD2u23HNQUj9Ib0M+01Pg9fvG3WnnY=";
