//! What a guest does with a database: the steps come in the request.

use spin_sdk::pg::{
    Certificate, Connection, DbValue, Interval, OpenOptions, ParameterValue as P, QueryResult, RangeBoundKind,
};

/// The request's parts are divided by lines `%%`: connection string, root certificate (may be empty), steps.
pub async fn steps(text: &str) -> anyhow::Result<String> {
    let parts: Vec<&str> = text.split("%%\n").collect();
    let [address, ca, steps] = parts.as_slice() else { anyhow::bail!("three parts") };
    let ca_root = (!ca.trim().is_empty()).then(|| Certificate::Text((*ca).to_owned()));
    let connection = match Connection::open_with_options(address.trim(), OpenOptions { ca_root }).await {
        Ok(connection) => connection,
        Err(error) => return Ok(format!("open: {error:?}\n")),
    };
    let mut out = String::new();
    for step in steps.lines() {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let told = match verb {
            "execute" => connection.execute(rest, []).await.map(|count| format!("{count} rows")),
            // Two parameters of kinds that do not fit.
            "bind" => connection.execute(rest, [P::Int32(1)]).await.map(|count| format!("{count} rows")),
            "query" => match connection.query(rest, []).await {
                Ok(result) => rows(result).await,
                Err(error) => Err(error),
            },
            "sleep" => {
                spin_sdk::wasip3::clocks::monotonic_clock::wait_for(rest.parse::<u64>()? * 1_000_000).await;
                Ok("slept".into())
            }
            "panic" => panic!("a trap between two steps"),
            other => anyhow::bail!("no step {other}"),
        };
        out.push_str(&told.unwrap_or_else(|error| format!("error: {error:?}")));
        out.push('\n');
    }
    Ok(out)
}

async fn rows(result: QueryResult) -> Result<String, spin_sdk::pg::Error> {
    let columns: Vec<String> = result.columns().iter().map(|c| format!("{}:{:?}", c.name, c.data_type)).collect();
    let mut text = columns.join(" ");
    for row in result.collect().await? {
        let values: Vec<String> = (0..columns.len()).map(|index| format!("{:?}", row[index])).collect();
        text.push_str(&format!(" | {}", values.join(" ")));
    }
    Ok(text)
}

/// Every kind of value, to the server and back.
pub async fn types(address: &str) -> anyhow::Result<String> {
    let connection = Connection::open(address).await?;
    let some = |v: &str| Some(v.to_owned());
    let bound = |v: &str, kind| Some((v.to_owned(), kind));
    use RangeBoundKind::{Exclusive, Inclusive};
    let interval = Interval { micros: 1_500_000, days: -2, months: 14 };
    let cases: Vec<(&str, P)> = vec![
        ("boolean", P::Boolean(true)),
        ("\"char\"", P::Int8(65)),
        ("smallint", P::Int16(-2)),
        ("integer", P::Int32(i32::MIN)),
        ("bigint", P::Int64(i64::MAX)),
        ("real", P::Floating32(1.5)),
        ("double precision", P::Floating64(-0.1)),
        ("text", P::Str("ñ 'quoted' \u{1f4de}".into())),
        ("varchar(9)", P::Str("nine".into())),
        ("bytea", P::Binary(vec![0, 1, 255])),
        ("date", P::Date((2026, 11, 22))),
        ("time", P::Time((23, 59, 58, 123_456_000))),
        ("timestamp", P::Datetime((1999, 12, 31, 23, 59, 59, 999_999_000))),
        ("timestamptz", P::Timestamp(1_795_305_600)),
        ("uuid", P::Uuid("0193511C-7A1B-7000-8000-0000000000ab".into())),
        ("jsonb", P::Jsonb(br#"{"a":[1,null]}"#.to_vec())),
        ("numeric", P::Decimal("-12345678901234567890.0500".into())),
        ("int4range", P::RangeInt32((Some((1, Inclusive)), Some((5, Exclusive))))),
        ("int8range", P::RangeInt64((None, Some((7, Exclusive))))),
        ("numrange", P::RangeDecimal((bound("0.5", Exclusive), bound("99.25", Inclusive)))),
        ("int4range", P::RangeInt32((Some((3, Exclusive)), Some((3, Exclusive))))),
        ("integer[]", P::ArrayInt32(vec![Some(1), None, Some(-3)])),
        ("bigint[]", P::ArrayInt64(vec![])),
        ("numeric[]", P::ArrayDecimal(vec![some("1.50"), None])),
        ("text[]", P::ArrayStr(vec![some("a,b"), None, some("")])),
        ("interval", P::Interval(interval)),
        ("text", P::DbNull),
    ];
    let mut out = String::new();
    for (ty, value) in cases {
        // The server reads it as its own type and writes that as text, so that a mistake made both ways would show.
        let sql = format!("SELECT $1::{ty} AS v, ($1::{ty})::text AS t");
        let result = connection.query(sql, [value]).await?;
        // Spin knows the columns by the first row only.
        let kind = result.columns().first().map(|column| format!("{:?}", column.data_type)).unwrap_or_default();
        let rows = match result.collect().await {
            Ok(rows) => rows,
            Err(error) => {
                out.push_str(&format!("{ty} {}\n", format!("{error:?}").lines().next().unwrap_or_default()));
                continue;
            }
        };
        let text = match &rows[0][1] {
            DbValue::Str(text) => text.clone(),
            other => format!("{other:?}"),
        };
        out.push_str(&format!("{ty} {kind} {:?} {text}\n", rows[0][0]));
    }
    Ok(out)
}
