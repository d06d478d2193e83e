//! Our own RSA signatures are those of OpenSSL 3 (`openssl dgst -sha256 -sign`): PKCS#1 v1.5 has one signature per key and message.
//! The key was made for this file and is used nowhere.

use signatures::{Claim, Encoding, Key, Mismatch, Scheme, encoding, sign, verify};

#[test]
fn our_signature_is_openssls_with_the_key_in_either_form() {
    for key in [PKCS8, PKCS1] {
        let tag = sign(Scheme::RsaPkcs1Sha256, key.as_bytes(), b"message").unwrap();
        assert_eq!(encoding::encode(&tag, Encoding::Base64), SIGNED.as_bytes());
        let claim = Claim { scheme: Scheme::RsaPkcs1Sha256, message: b"message", tag: &tag, encoding: Encoding::Raw };
        verify(&claim, Key::Public(PUBLIC.as_bytes()), 0).unwrap();
        assert_ne!(sign(Scheme::RsaPkcs1Sha256, key.as_bytes(), b"massage").unwrap(), tag);
    }
}

#[test]
fn only_a_private_key_signs_and_no_error_shows_it() {
    for key in ["", "secret", PUBLIC, &PKCS8[..PKCS8.len() / 2], &PKCS8.replace('A', "B")] {
        let Err(why @ Mismatch::Key(_)) = sign(Scheme::RsaPkcs1Sha256, key.as_bytes(), b"message") else {
            panic!("signed with {key}")
        };
        assert!(key.is_empty() || !why.to_string().contains(key));
    }
    for scheme in [Scheme::Ed25519, Scheme::EcdsaP256Sha256, Scheme::RsaPkcs1Sha1, Scheme::JwtRs256, Scheme::Bearer] {
        assert!(sign(scheme, PKCS8.as_bytes(), b"message").is_err(), "{scheme:?}");
    }
    assert_eq!(sign(Scheme::HmacSha256, b"k", b"m"), signatures::mac(Scheme::HmacSha256, b"k", b"m"));
}

const PKCS8: &str = "\
-----BEGIN PRIVATE KEY-----
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCrp1oF6XmEDiIk
LtAu8QBtJHdCVd26d0aYyLBtNIeNQ5ulWzdKhgCshiEAqLXqxIfrnuwTLgFqmgxA
9dpUxCltOcd8vDfykFnIpyhe9qsWC+/5DjCnXXWwijathHv1j3n1VewNbLcI5gJG
nDAFyXIzoKAnQObnr5na2ng5i1H/E6LSJx6p3hAbxiL7Hhg0LnYszAJlDRQu1zdx
Y+YbkS5IzH+4p7YaZvb4DbfdEABMT8KUYNIrpEeU8NJ7/TpWUkZZ63/G9IpoLdBp
FesjxiYYipiQJ5r8Evk/DHsuqZgQFFbMqO0DeICQ0ALpFZGmuyU3fz03syua7qY9
2hAoaIVpAgMBAAECggEAL8ws5CKMJLpuxVaHv9p5/Oo/jygr0sVt0hNoFTCgYjSm
PZg1wDmqLGA5Bl70MQhCtNiO8hRIbq+wo9IR1rK8ul5xbwlWJuQNLDNnqXHUWBJA
40ARSjlbESqbaRvQDKPEGQ2w6lgQa5jon1LUiHf8peWfUu7enTsng2p8OcHStk0C
+4bEAqn25j81B9XxDLkQwpo1vZCHxhUJpZY3nzwk/EK0FSdw1eKi+YFeFT3Yatmy
B8/V2Ri6GsfA6g4XSE/EStb35otBrB7SANYeGnWAo40oKJQsGV5X0u5NojoABXBZ
KVxN0UVUfWf3s+mHls2J705N61bpMSg82V3p5hxR9QKBgQDqZjoS5TSRQWqLjCh7
Ar0I2DopMLPB0GQyYWA5DX2Ne2hxugke8uSa17x4ZMOBmtwJLfbws8pDdU4C0/SC
f2s1i6t0VCVOZp5mL65jtr3QOVolIG9JSOR2aVvkF2UpzFYqmtIMKRAQYlWtg+zH
XBferABcMDUIsoJjn/+r7HQihwKBgQC7eOCjNdPhd870jUK6fRhpXXMxLaPAHeFa
5/rZbwrp3o049wJGVV/sNSFgJaG/tDbJnAf4ClqNqaIO0/EwKtxIllDzyjBR/zmB
NQo6gFrZBTj0wHKMLP7+tq+O57BcJenunXiQgXs5q/tAOnRPkYjLSBZA+Q9j+83F
GR81wi/kjwKBgFbaolI2FBBuyOgEe0t5bEpGtOZmYXVDnpz8cAcz9H3kaIMbiB2r
qwGlRvTlgXwYwce0/HecZyov4UQy/bsNM9CXfGSSeXBfnfoHWPshz5vEZJ61MgdZ
ty4ZRC90a8vdJ2CKFaLj5Evt5AlzhN0qRr3/xfJi+oPKgX4g3z/5Ud8pAoGAQRm6
uDJq/3LBVT7wmx3xqjUfWUaGBKLbrNu9yl+7JHd6BvwPuCjRhI72phKrVozYMa6T
PdkqlOMBObDzokxf7nz0Y5Qkr3S3nVyzzpjf81jS7Hsfy/mcGwuJb1CZd4Za89eP
FG9CQUatmyIxXagmHqFLyQg0Bf5c+EK/CcYDJ5UCgYBtGZt25Lcnremv1zT/azsK
FT1vViQPTqRTF7U5xHgC+7hTWMd8c3AsRHuoAIH+EULecnkNkzKnFYTfAG3hSI5W
b12tJ8qOsIoJCRFPUcVAy7KPnvG4V7DEkZCMdQ5z4/X8pQRtsdx8rk8qqYQ0Y/Iz
y0ebi4im1c+a/YhcsbESUg==
-----END PRIVATE KEY-----";

const PKCS1: &str = "\
-----BEGIN RSA PRIVATE KEY-----
MIIEogIBAAKCAQEAq6daBel5hA4iJC7QLvEAbSR3QlXdundGmMiwbTSHjUObpVs3
SoYArIYhAKi16sSH657sEy4BapoMQPXaVMQpbTnHfLw38pBZyKcoXvarFgvv+Q4w
p111sIo2rYR79Y959VXsDWy3COYCRpwwBclyM6CgJ0Dm56+Z2tp4OYtR/xOi0ice
qd4QG8Yi+x4YNC52LMwCZQ0ULtc3cWPmG5EuSMx/uKe2Gmb2+A233RAATE/ClGDS
K6RHlPDSe/06VlJGWet/xvSKaC3QaRXrI8YmGIqYkCea/BL5Pwx7LqmYEBRWzKjt
A3iAkNAC6RWRprslN389N7Mrmu6mPdoQKGiFaQIDAQABAoIBAC/MLOQijCS6bsVW
h7/aefzqP48oK9LFbdITaBUwoGI0pj2YNcA5qixgOQZe9DEIQrTYjvIUSG6vsKPS
EdayvLpecW8JVibkDSwzZ6lx1FgSQONAEUo5WxEqm2kb0AyjxBkNsOpYEGuY6J9S
1Ih3/KXln1Lu3p07J4NqfDnB0rZNAvuGxAKp9uY/NQfV8Qy5EMKaNb2Qh8YVCaWW
N588JPxCtBUncNXiovmBXhU92GrZsgfP1dkYuhrHwOoOF0hPxErW9+aLQawe0gDW
Hhp1gKONKCiULBleV9LuTaI6AAVwWSlcTdFFVH1n97Pph5bNie9OTetW6TEoPNld
6eYcUfUCgYEA6mY6EuU0kUFqi4woewK9CNg6KTCzwdBkMmFgOQ19jXtocboJHvLk
mte8eGTDgZrcCS328LPKQ3VOAtP0gn9rNYurdFQlTmaeZi+uY7a90DlaJSBvSUjk
dmlb5BdlKcxWKprSDCkQEGJVrYPsx1wX3qwAXDA1CLKCY5//q+x0IocCgYEAu3jg
ozXT4XfO9I1Cun0YaV1zMS2jwB3hWuf62W8K6d6NOPcCRlVf7DUhYCWhv7Q2yZwH
+ApajamiDtPxMCrcSJZQ88owUf85gTUKOoBa2QU49MByjCz+/ravjuewXCXp7p14
kIF7Oav7QDp0T5GIy0gWQPkPY/vNxRkfNcIv5I8CgYBW2qJSNhQQbsjoBHtLeWxK
RrTmZmF1Q56c/HAHM/R95GiDG4gdq6sBpUb05YF8GMHHtPx3nGcqL+FEMv27DTPQ
l3xkknlwX536B1j7Ic+bxGSetTIHWbcuGUQvdGvL3SdgihWi4+RL7eQJc4TdKka9
/8XyYvqDyoF+IN8/+VHfKQKBgEEZurgyav9ywVU+8Jsd8ao1H1lGhgSi26zbvcpf
uyR3egb8D7go0YSO9qYSq1aM2DGukz3ZKpTjATmw86JMX+589GOUJK90t51cs86Y
3/NY0ux7H8v5nBsLiW9QmXeGWvPXjxRvQkFGrZsiMV2oJh6hS8kINAX+XPhCvwnG
AyeVAoGAbRmbduS3J63pr9c0/2s7ChU9b1YkD06kUxe1OcR4Avu4U1jHfHNwLER7
qACB/hFC3nJ5DZMypxWE3wBt4UiOVm9drSfKjrCKCQkRT1HFQMuyj57xuFewxJGQ
jHUOc+P1/KUEbbHcfK5PKqmENGPyM8tHm4uIptXPmv2IXLGxElI=
-----END RSA PRIVATE KEY-----";

const PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAq6daBel5hA4iJC7QLvEA
bSR3QlXdundGmMiwbTSHjUObpVs3SoYArIYhAKi16sSH657sEy4BapoMQPXaVMQp
bTnHfLw38pBZyKcoXvarFgvv+Q4wp111sIo2rYR79Y959VXsDWy3COYCRpwwBcly
M6CgJ0Dm56+Z2tp4OYtR/xOi0iceqd4QG8Yi+x4YNC52LMwCZQ0ULtc3cWPmG5Eu
SMx/uKe2Gmb2+A233RAATE/ClGDSK6RHlPDSe/06VlJGWet/xvSKaC3QaRXrI8Ym
GIqYkCea/BL5Pwx7LqmYEBRWzKjtA3iAkNAC6RWRprslN389N7Mrmu6mPdoQKGiF
aQIDAQAB
-----END PUBLIC KEY-----";

const SIGNED: &str = "\
UpL/GY3LPebFB1+Um3xDWGYC7MkPrpZHHH5IAFejuduQuynJ/XeXTZAxBILY94HKrH6qSQkM05XNsOlfRyw+ald+Gf07s58bAFAkTjWH+y2vPxiuixKdCSH+JAXohTZMDUz7gWJzSjY/AZPac2aGFa1ZzYWAlkUeADLi8sd5YfU6\
NKHJRCJq7jC070Aowhj4lcy9hCgHL0WQbaGMdABFgZqxrtLRY/CsQBLxkza6ZSHFPwp8+NlkjQrXO+0wBD0zO/XpExDz3fZyWhY/QdrQzPFys8PjMGfExQzooD1PWq9YyXEhkCMtMcBRKRleLeIkay7ATnrX8kzp4z6aWKGp6A==";
