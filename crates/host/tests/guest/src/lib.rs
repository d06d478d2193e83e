//! A component that does, by path, whatever the host must stand.

mod postgres;

use bytes::Bytes;
use http_body_util::Empty;
use spin_sdk::{
    http::{IntoResponse, Request, body::IncomingBodyExt, send},
    http_service,
    sqlite::{Connection, Value},
};
use std::time::{SystemTime, UNIX_EPOCH};

async fn answer(request: Request) -> anyhow::Result<(u16, String)> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or("").to_owned();
    let text = match path.as_str() {
        "/hello" => "hello".into(),
        "/loop" => loop {
            std::hint::black_box(());
        },
        "/panic" => panic!("a secret in a panic"),
        "/memory" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1_u8; 1 << 20]);
            }
        }
        "/sleep" => {
            spin_sdk::wasip3::clocks::monotonic_clock::wait_for(query.parse::<u64>()? * 1_000_000).await;
            "slept".into()
        }
        "/naps" => {
            for _ in 0..query.parse::<u32>()? {
                spin_sdk::wasip3::clocks::monotonic_clock::wait_for(15_000_000).await;
            }
            "rested".into()
        }
        "/headers" => {
            request.headers().iter().map(|(name, value)| format!("{name}: {:?}\n", value.as_bytes())).collect()
        }
        "/environment" => std::env::vars().map(|(name, value)| format!("{name}={value}\n")).collect(),
        "/clock" => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string(),
        "/variable" => spin_sdk::variables::get(&query).await?,
        "/echo" => request.into_body().bytes().await?.len().to_string(),
        "/insert" => {
            let rows = Connection::open_default()
                .await?
                .execute("INSERT INTO t(v) VALUES (?1) RETURNING v", [Value::Text(query)])
                .await?;
            format!("{:?}", rows.collect().await?.first().map(|row| row.values.clone()))
        }
        "/begin-and-panic" => {
            let connection = Connection::open_default().await?;
            connection.execute("BEGIN IMMEDIATE", []).await?.collect().await?;
            connection.execute("INSERT INTO t(v) VALUES ('lost')", []).await?.collect().await?;
            panic!("inside a transaction");
        }
        "/sql" => {
            let sql = String::from_utf8(request.into_body().bytes().await?.to_vec())?;
            let rows =
                Connection::open(if query.is_empty() { "default" } else { &query }).await?.execute(sql, []).await?;
            rows.collect().await?.iter().map(|row| format!("{:?}\n", row.values)).collect()
        }
        "/key-value" => key_value(&query).await.map_err(|error| anyhow::anyhow!("{error:?}"))?,
        "/postgres" => postgres::steps(&body_text(request).await?).await?,
        "/postgres-types" => postgres::types(&body_text(request).await?).await?,
        "/fetch" => {
            let request = http::Request::get(query.as_str()).body(Empty::<Bytes>::new())?;
            match send(request).await {
                Ok(response) => format!(
                    "{} {}",
                    response.status().as_u16(),
                    String::from_utf8_lossy(&response.into_body().bytes().await?)
                ),
                Err(error) => format!("{error:?}"),
            }
        }
        _ => return Ok((404, String::new())),
    };
    Ok((200, text))
}

/// `label/set/key=value`, `label/get/key`, `label/exists/key`, `label/delete/key`, `label/keys/`.
async fn key_value(query: &str) -> Result<String, spin_sdk::key_value::Error> {
    let mut words = query.splitn(3, '/');
    let mut word = || words.next().unwrap_or_default();
    let (label, verb, rest) = (word(), word(), word());
    let store = spin_sdk::key_value::Store::open(label).await?;
    Ok(match verb {
        "set" => {
            let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
            store.set(key, value).await?;
            "set".into()
        }
        "get" => format!("{:?}", store.get(rest).await?.map(|value| String::from_utf8_lossy(&value).into_owned())),
        "exists" => store.exists(rest).await?.to_string(),
        "delete" => {
            store.delete(rest).await?;
            "deleted".into()
        }
        _ => store.get_keys().await.collect().await?.join(" "),
    })
}

async fn body_text(request: Request) -> anyhow::Result<String> {
    Ok(String::from_utf8(request.into_body().bytes().await?.to_vec())?)
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let (status, text) = answer(request).await.unwrap_or_else(|error| (500, format!("{error:#}")));
    http::Response::builder().status(status).body(text)
}
