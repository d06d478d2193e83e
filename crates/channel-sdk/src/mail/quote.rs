//! Where the quoted history of a reply begins. The text itself is kept whole: people answer between the lines.

/// How mail programs introduce what they quote, by their last words.
const WROTE: [&str; 15] = [
    "wrote:",
    "escribi\u{f3}:",
    "a \u{e9}crit :",
    "a \u{e9}crit:",
    "schrieb:",
    "escreveu:",
    "va escriure:",
    "scritto:",
    "schreef:",
    "idatzi du:",
    "escrito:",
    "escribiu:",
    "skrev:",
    "kirjoitti:",
    "napisa\u{142}(a):",
];

/// Separators of forwarded and answered messages, without the dashes.
const SEPARATORS: [&str; 10] = [
    "original message",
    "mensaje original",
    "mensaje reenviado",
    "forwarded message",
    "message d'origine",
    "urspr\u{fc}ngliche nachricht",
    "mensagem original",
    "missatge original",
    "messaggio originale",
    "mensaxe orixinal",
];

const FROM: [&str; 6] = ["from:", "de:", "von:", "da:", "van:", "nork:"];
const SENT: [&str; 13] = [
    "sent:",
    "date:",
    "enviado:",
    "fecha:",
    "enviado el:",
    "envoy\u{e9} :",
    "gesendet:",
    "data:",
    "enviada:",
    "enviat:",
    "inviato:",
    "datum:",
    "verzonden:",
];

/// The number of the first line (from 1) from which everything is quoted; absent when nothing is or it can't be told.
pub(crate) fn begins_at(text: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    // Only quoted or empty lines from here to the end.
    let mut quoted_tail = lines.len();
    let mut any = false;
    for (at, line) in lines.iter().enumerate().rev() {
        if line.starts_with('>') {
            any = true;
            quoted_tail = at;
        } else if !line.is_empty() {
            break;
        }
    }
    let marker = lines.iter().enumerate().position(|(at, line)| {
        let line = line.to_lowercase();
        let bare = line.trim_matches(['-', '_', '*', ' ', '\u{2014}']);
        let dashed = line.starts_with("--") || line.starts_with("__");
        if dashed && SEPARATORS.contains(&bare) {
            return true;
        }
        // Outlook: a block of header lines.
        let block = FROM.iter().any(|word| bare.starts_with(word));
        block
            && lines.iter().skip(at + 1).take(3).any(|next| {
                let next = next.to_lowercase();
                SENT.iter().any(|word| next.trim_start_matches('*').starts_with(word))
            })
    });
    let first = match (marker, any) {
        (Some(marker), true) => marker.min(quoted_tail),
        (Some(marker), false) => marker,
        (None, true) => quoted_tail,
        (None, false) => return None,
    };
    // The line that introduces the quotation, which may be wrapped, belongs to it.
    let mut start = first;
    if first == quoted_tail && any {
        let before: Vec<usize> = (first.saturating_sub(5)..first)
            .rev()
            .filter(|at| lines.get(*at).is_some_and(|line| !line.is_empty()))
            .take(3)
            .collect();
        if let Some(last) = before.first()
            && lines.get(*last).is_some_and(|line| {
                WROTE.iter().any(|word| line.to_lowercase().ends_with(word))
                    || (line.ends_with(':') && line.contains('@'))
            })
        {
            start = *last;
            // `On …,` of the same sentence on the lines before.
            for at in before.iter().skip(1) {
                let starts = lines.get(*at).is_some_and(|line| {
                    ["On ", "El ", "Le ", "Am ", "Em ", "Il ", "Op ", "A ", "O "]
                        .iter()
                        .any(|word| line.starts_with(word))
                });
                if starts
                    && start == at + 1
                    && !lines.get(*last).is_some_and(|line| line.starts_with("On ") || line.starts_with("El "))
                {
                    start = *at;
                    break;
                }
            }
        }
    }
    Some(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quoted_history_is_found_in_the_languages_people_write() {
        for (text, line) in [
            (
                "Gracias\n\nEl lun, 2 nov 2026 a las 10:00, Ayto <a@b.example> escribi\u{f3}:\n> hola\n>\n> adi\u{f3}s\n",
                Some(3),
            ),
            ("Thanks\n\nOn Mon, 2 Nov 2026 at 10:00, A Very Long Name\n<a@b.example> wrote:\n\n> hi\n", Some(3)),
            ("ok\n> hi\n> there", Some(2)),
            ("> hi\nmy answer\n> there", Some(3)),
            ("> hi\nmy answer", None),
            ("Vale\n\n-----Mensaje original-----\nDe: X\nhola", Some(3)),
            ("Vale\n\nDe: Ayto <a@b>\nEnviado: lunes\nPara: yo\nAsunto: x\n\nhola", Some(3)),
            ("Vale\n\n*Von:* Amt\n*Gesendet:* Montag\n\nhallo", Some(3)),
            ("nothing quoted: at all", None),
            ("", None),
        ] {
            assert_eq!(begins_at(text), line, "{text}");
        }
    }
}
