//! Bodies of answers: complete, or a stream that must come to its end.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;

/// The body of an answer.
pub enum OutBody {
    /// All of it.
    Full(Option<Bytes>),
    /// Part by part.
    Stream(mpsc::Receiver<Part>, bool),
}

/// One part of a streamed body.
pub enum Part {
    /// Bytes.
    Data(Bytes),
    /// All is said. Without it the client must not take the answer for complete.
    End,
}

/// The component stopped in the middle of its answer.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer was cut off")
    }
}

impl std::error::Error for Cut {}

/// A complete body.
pub fn full(bytes: impl Into<Bytes>) -> OutBody {
    OutBody::Full(Some(bytes.into()))
}

/// The sending side of a streamed body.
pub struct Sender(mpsc::Sender<Part>);

impl Sender {
    /// An error means that the client is gone.
    pub async fn data(&self, data: Bytes) -> Result<(), Cut> {
        if data.is_empty() {
            return Ok(());
        }
        self.0.send(Part::Data(data)).await.map_err(|_| Cut)
    }

    /// Ends the body.
    pub async fn end(self) {
        // The client may be gone: nothing to end then.
        let _ = self.0.send(Part::End).await;
    }
}

/// A streamed body.
pub fn channel() -> (Sender, OutBody) {
    let (sender, receiver) = mpsc::channel(4);
    (Sender(sender), OutBody::Stream(receiver, false))
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut *self {
            Self::Full(bytes) => {
                Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Stream(_, true) => Poll::Ready(None),
            Self::Stream(parts, ended) => match ready!(parts.poll_recv(context)) {
                Some(Part::Data(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Part::End) => {
                    *ended = true;
                    Poll::Ready(None)
                }
                None => {
                    *ended = true;
                    Poll::Ready(Some(Err(Cut)))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(_, ended) => *ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(..) => SizeHint::default(),
        }
    }
}
