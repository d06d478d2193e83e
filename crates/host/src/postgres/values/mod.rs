//! Values between the interface and PostgreSQL's binary formats.
//!
//! A parameter goes into the same server types as on Spin, so that what runs here runs there; every other pair is an error that
//! names both. A column of a type the interface does not have arrives as `unsupported` bytes under `other(its name)`.

mod composite;
mod number;
mod time;

use super::guest::bindings::spin::postgres::postgres::{
    Column, DbDataType, DbValue, Error, Interval, ParameterValue, RangeBoundKind,
};
use bytes::BytesMut;
use composite::{Reader, array, range, read_array, read_range};
use std::error::Error as StdError;
use tokio_postgres::{
    Row, Statement,
    types::{FromSql, IsNull, Kind, ToSql, Type},
};

/// A parameter in the server's form; none is NULL.
pub(super) struct Encoded(Option<Vec<u8>>);

impl std::fmt::Debug for Encoded {
    /// The driver logs parameters; these may be a citizen's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.to_sql(ty, out)
    }
}

/// All parameters of a statement.
pub(super) fn encode_all(values: &[ParameterValue], statement: &Statement) -> Result<Vec<Encoded>, Error> {
    let types = statement.params();
    if types.len() != values.len() {
        return Err(Error::BadParameter(format!(
            "the statement has {} parameters and {} values were given",
            types.len(),
            values.len()
        )));
    }
    let numbered = values.iter().zip(types).enumerate();
    numbered
        .map(|(index, (value, ty))| {
            encode(value, base(ty)).map(Encoded).map_err(|why| {
                let why = match why {
                    Unfit::Type => format!(
                        "a value of kind {} can't be bound where the server expects {}: cast it in the statement, e.g. ${}::{}",
                        kind(value).0,
                        ty.name(),
                        index + 1,
                        kind(value).1
                    ),
                    Unfit::Value(why) => format!("not a value of type {}: {why}", ty.name()),
                };
                Error::BadParameter(format!("parameter ${}: {why}", index + 1))
            })
        })
        .collect()
}

/// A domain's values are sent as those of the type under it.
fn base(ty: &Type) -> &Type {
    match ty.kind() {
        Kind::Domain(inner) => base(inner),
        _ => ty,
    }
}

/// Why a value is not sent. Never has the value in it.
enum Unfit {
    Type,
    Value(&'static str),
}

fn encode(value: &ParameterValue, ty: &Type) -> Result<Option<Vec<u8>>, Unfit> {
    use ParameterValue as P;
    const NUMBER: Unfit = Unfit::Value("write digits with at most one point, e.g. -12.50");
    let of = |types: &[Type]| if types.contains(ty) { Ok(()) } else { Err(Unfit::Type) };
    let numbers = |text: &String| number::encode(text).ok_or(NUMBER);
    let moment = |micros: Option<i64>| micros.map(|micros| micros.to_be_bytes().to_vec());
    let wrong_time = Unfit::Value("there is no such date or time");
    Ok(Some(match value {
        P::DbNull => return Ok(None),
        P::Boolean(v) => of(&[Type::BOOL]).map(|()| vec![u8::from(*v)])?,
        P::Int8(v) => of(&[Type::CHAR]).map(|()| v.to_be_bytes().to_vec())?,
        P::Int16(v) => of(&[Type::INT2]).map(|()| v.to_be_bytes().to_vec())?,
        P::Int32(v) => of(&[Type::INT4]).map(|()| v.to_be_bytes().to_vec())?,
        P::Int64(v) => of(&[Type::INT8]).map(|()| v.to_be_bytes().to_vec())?,
        P::Floating32(v) => of(&[Type::FLOAT4]).map(|()| v.to_be_bytes().to_vec())?,
        P::Floating64(v) => of(&[Type::FLOAT8]).map(|()| v.to_be_bytes().to_vec())?,
        P::Str(v) if ty.name() == "citext" => v.as_bytes().to_vec(),
        P::Str(v) => {
            of(&[Type::TEXT, Type::VARCHAR, Type::BPCHAR, Type::NAME, Type::UNKNOWN]).map(|()| v.as_bytes().to_vec())?
        }
        P::Binary(v) => of(&[Type::BYTEA]).map(|()| v.clone())?,
        P::Date(v) => {
            of(&[Type::DATE])?;
            time::days(*v).ok_or(wrong_time)?.to_be_bytes().to_vec()
        }
        P::Time(v) => {
            of(&[Type::TIME])?;
            moment(time::micros(*v)).ok_or(wrong_time)?
        }
        P::Datetime(v) => {
            of(&[Type::TIMESTAMP])?;
            moment(time::instant(*v)).ok_or(wrong_time)?
        }
        P::Timestamp(v) => {
            of(&[Type::TIMESTAMPTZ])?;
            moment(time::unix(*v)).ok_or(wrong_time)?
        }
        P::Uuid(v) => {
            of(&[Type::UUID])?;
            uuid(v).ok_or(Unfit::Value("a UUID has 32 hexadecimal digits"))?
        }
        P::Jsonb(v) => {
            of(&[Type::JSONB, Type::JSON])?;
            // The first byte of jsonb is its format's version.
            let version: &[u8] = if *ty == Type::JSONB { &[1] } else { &[] };
            [version, v].concat()
        }
        P::Decimal(v) => {
            of(&[Type::NUMERIC])?;
            numbers(v)?
        }
        P::RangeInt32(v) => {
            of(&[Type::INT4_RANGE])?;
            range(v, |v| Ok(v.to_be_bytes().to_vec()))?
        }
        P::RangeInt64(v) => {
            of(&[Type::INT8_RANGE])?;
            range(v, |v| Ok(v.to_be_bytes().to_vec()))?
        }
        P::RangeDecimal(v) => {
            of(&[Type::NUM_RANGE])?;
            range(v, numbers)?
        }
        P::ArrayInt32(v) => {
            of(&[Type::INT4_ARRAY])?;
            array(ty, v, |v| Ok(v.to_be_bytes().to_vec()))?
        }
        P::ArrayInt64(v) => {
            of(&[Type::INT8_ARRAY])?;
            array(ty, v, |v| Ok(v.to_be_bytes().to_vec()))?
        }
        P::ArrayDecimal(v) => {
            of(&[Type::NUMERIC_ARRAY])?;
            array(ty, v, numbers)?
        }
        P::ArrayStr(v) => {
            of(&[Type::TEXT_ARRAY, Type::VARCHAR_ARRAY, Type::BPCHAR_ARRAY])?;
            array(ty, v, |v| Ok(v.as_bytes().to_vec()))?
        }
        P::Interval(v) => {
            of(&[Type::INTERVAL])?;
            [v.micros.to_be_bytes().as_slice(), &v.days.to_be_bytes(), &v.months.to_be_bytes()].concat()
        }
    }))
}

/// The name of a parameter's case in the interface, and of the server's type for it.
fn kind(value: &ParameterValue) -> (&'static str, &'static str) {
    use ParameterValue as P;
    match value {
        P::Boolean(_) => ("boolean", "boolean"),
        P::Int8(_) => ("int8", "\"char\""),
        P::Int16(_) => ("int16", "smallint"),
        P::Int32(_) => ("int32", "integer"),
        P::Int64(_) => ("int64", "bigint"),
        P::Floating32(_) => ("floating32", "real"),
        P::Floating64(_) => ("floating64", "double precision"),
        P::Str(_) => ("str", "text"),
        P::Binary(_) => ("binary", "bytea"),
        P::Date(_) => ("date", "date"),
        P::Time(_) => ("time", "time"),
        P::Datetime(_) => ("datetime", "timestamp"),
        P::Timestamp(_) => ("timestamp", "timestamptz"),
        P::Uuid(_) => ("uuid", "uuid"),
        P::Jsonb(_) => ("jsonb", "jsonb"),
        P::Decimal(_) => ("decimal", "numeric"),
        P::RangeInt32(_) => ("range-int32", "int4range"),
        P::RangeInt64(_) => ("range-int64", "int8range"),
        P::RangeDecimal(_) => ("range-decimal", "numrange"),
        P::ArrayInt32(_) => ("array-int32", "integer[]"),
        P::ArrayInt64(_) => ("array-int64", "bigint[]"),
        P::ArrayDecimal(_) => ("array-decimal", "numeric[]"),
        P::ArrayStr(_) => ("array-str", "text[]"),
        P::Interval(_) => ("interval", "interval"),
        P::DbNull => ("db-null", "text"),
    }
}

fn uuid(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(text);
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || digits.bytes().any(|byte| !byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(|value| value.to_be_bytes().to_vec())
}

/// Names and types of a statement's columns.
pub(super) fn columns(statement: &Statement) -> Vec<Column> {
    let of = |ty: &Type| match *ty {
        Type::BOOL => DbDataType::Boolean,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
        Type::BYTEA => DbDataType::Binary,
        Type::DATE => DbDataType::Date,
        Type::TIME => DbDataType::Time,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
        Type::UUID => DbDataType::Uuid,
        Type::JSONB => DbDataType::Jsonb,
        Type::NUMERIC => DbDataType::Decimal,
        Type::INT4_RANGE => DbDataType::RangeInt32,
        Type::INT8_RANGE => DbDataType::RangeInt64,
        Type::NUM_RANGE => DbDataType::RangeDecimal,
        Type::INT4_ARRAY => DbDataType::ArrayInt32,
        Type::INT8_ARRAY => DbDataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
        Type::INTERVAL => DbDataType::Interval,
        _ => DbDataType::Other(ty.name().to_owned()),
    };
    let columns = statement.columns().iter();
    columns.map(|column| Column { name: column.name().to_owned(), data_type: of(column.type_()) }).collect()
}

/// The bytes of a column, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The values of a row, and how many bytes they had.
pub(super) fn decode_row(row: &Row) -> Result<(Vec<DbValue>, usize), Error> {
    let mut size = 0;
    let mut values = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let raw: Option<Raw<'_>> =
            row.try_get(index).map_err(|error| Error::ValueConversionFailed(error.to_string()))?;
        let Some(Raw(bytes)) = raw else {
            values.push(DbValue::DbNull);
            size += 1;
            continue;
        };
        size += bytes.len();
        let value = decode(column.type_(), bytes).ok_or_else(|| {
            Error::ValueConversionFailed(format!(
                "column {} has a value of type {} that the interface can't express (infinity, 24:00, several dimensions)",
                column.name(),
                column.type_().name()
            ))
        })?;
        values.push(value);
    }
    Ok((values, size))
}

fn decode(ty: &Type, bytes: &[u8]) -> Option<DbValue> {
    let mut reader = Reader(bytes);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let value = match *ty {
        Type::BOOL => DbValue::Boolean(reader.take::<1>()? != [0]),
        Type::INT2 => DbValue::Int16(i16::from_be_bytes(reader.take()?)),
        Type::INT4 => DbValue::Int32(i32::from_be_bytes(reader.take()?)),
        Type::INT8 => DbValue::Int64(i64::from_be_bytes(reader.take()?)),
        Type::FLOAT4 => DbValue::Floating32(f32::from_be_bytes(reader.take()?)),
        Type::FLOAT8 => DbValue::Floating64(f64::from_be_bytes(reader.take()?)),
        Type::DATE => {
            let days = i32::from_be_bytes(reader.take()?);
            if days == i32::MAX || days == i32::MIN {
                return None;
            }
            DbValue::Date(time::date(days.into())?)
        }
        Type::TIME => DbValue::Time(time::time(i64::from_be_bytes(reader.take()?))?),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbValue::Datetime(time::date_time(i64::from_be_bytes(reader.take()?))?),
        Type::INTERVAL => DbValue::Interval(Interval {
            micros: i64::from_be_bytes(reader.take()?),
            days: i32::from_be_bytes(reader.take()?),
            months: i32::from_be_bytes(reader.take()?),
        }),
        Type::UUID => {
            let digits = format!("{:032x}", u128::from_be_bytes(reader.take()?));
            let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
            DbValue::Uuid(parts.join("-"))
        }
        // From here on everything that is left is read.
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => return text(bytes).map(DbValue::Str),
        Type::BYTEA => return Some(DbValue::Binary(bytes.to_vec())),
        Type::JSONB => return bytes.strip_prefix(&[1]).map(|json| DbValue::Jsonb(json.to_vec())),
        Type::NUMERIC => return number::decode(bytes).map(DbValue::Decimal),
        Type::INT4_RANGE => {
            return read_range(bytes, 0, |b| Some(i32::from_be_bytes(b.try_into().ok()?))).map(DbValue::RangeInt32);
        }
        Type::INT8_RANGE => {
            return read_range(bytes, 0, |b| Some(i64::from_be_bytes(b.try_into().ok()?))).map(DbValue::RangeInt64);
        }
        Type::NUM_RANGE => return read_range(bytes, "0".into(), number::decode).map(DbValue::RangeDecimal),
        Type::INT4_ARRAY => {
            return read_array(bytes, |b| Some(i32::from_be_bytes(b.try_into().ok()?))).map(DbValue::ArrayInt32);
        }
        Type::INT8_ARRAY => {
            return read_array(bytes, |b| Some(i64::from_be_bytes(b.try_into().ok()?))).map(DbValue::ArrayInt64);
        }
        Type::NUMERIC_ARRAY => return read_array(bytes, number::decode).map(DbValue::ArrayDecimal),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => {
            return read_array(bytes, text).map(DbValue::ArrayStr);
        }
        _ => return Some(DbValue::Unsupported(bytes.to_vec())),
    };
    reader.0.is_empty().then_some(value)
}

type Bound<T> = Option<(T, RangeBoundKind)>;
