//! The form itself: empty, or once more with what somebody wrote and what has to be put right.

use core::fmt::Write as _;

use channel_sdk::phrases::say;
use channel_sdk::types::{AttributeDatatype, Service, ServiceAttribute};

use crate::check::{self, Fault};
use crate::html::{cut, escape};
use crate::page::Site;
use crate::settings;
use crate::token::Token;
use crate::wire::{self, Sent};
use crate::words::Words;

/// Of a value shown again: nobody has typed more, and the page has to be sent.
const MAX_SHOWN: usize = 64 * 1024;

/// What the form shows.
pub(crate) struct Form<'a> {
    pub(crate) site: &'a Site<'a>,
    /// What was written before.
    pub(crate) sent: Option<&'a Sent<'a>>,
    pub(crate) faults: &'a [Fault],
    /// Why it is shown again, if nothing is wrong with what was written.
    pub(crate) notice: Option<&'a str>,
    /// Without one it can be sent, and comes back with one.
    pub(crate) token: Option<&'a Token>,
}

/// A control's label and what belongs to it.
struct Field<'a> {
    id: &'a str,
    name: &'a str,
    label: &'a str,
    hint: Option<&'a str>,
    required: bool,
}

impl Form<'_> {
    /// The whole page.
    pub(crate) fn page(&self) -> String {
        let words = self.words();
        let title = if self.faults.is_empty() && self.notice.is_none() {
            words.title.to_owned()
        } else {
            format!("{}: {}", words.error, words.title)
        };
        let body = format!(
            "{}{}<h1>{}</h1>\n<p class=\"intro\">{}</p>\n{}",
            self.announcement(),
            self.summary(),
            escape(words.title),
            escape(words.intro),
            self.form()
        );
        // A link to another language would lose what somebody wrote.
        self.site.page(&title, &body, self.sent.is_none())
    }

    fn words(&self) -> &'static Words {
        self.site.words
    }

    fn announcement(&self) -> String {
        let Some(text) = self.site.told(&self.site.context.profile.announcement) else { return String::new() };
        format!(
            "<section class=\"notice\" aria-label=\"{}\">\n<p>{text}</p>\n</section>\n",
            escape(self.words().notice)
        )
    }

    fn summary(&self) -> String {
        let words = self.words();
        let had_photos = self.sent.is_some_and(|sent| !sent.photos.is_empty());
        let photos = if had_photos { format!("<p>{}</p>\n", escape(words.photos_again)) } else { String::new() };
        let content = match (self.faults, self.notice) {
            ([], None) => return String::new(),
            ([], Some(notice)) => format!("<p>{}</p>\n", escape(notice)),
            (faults, _) => {
                let items: String = faults
                    .iter()
                    .map(|fault| {
                        format!("<li><a href=\"#{}\">{}</a></li>\n", escape(&fault.id), escape(&fault.message))
                    })
                    .collect();
                format!("<ul>\n{items}</ul>\n")
            }
        };
        let heading = escape(words.errors);
        format!(
            "<div class=\"errors\" id=\"errors\" role=\"alert\" tabindex=\"-1\" autofocus>\n<h2>{heading}</h2>\n{content}{photos}</div>\n"
        )
    }

    fn form(&self) -> String {
        let words = self.words();
        let context = self.site.context;
        let mut form = String::from("<form method=\"post\" enctype=\"multipart/form-data\" novalidate>\n");
        let _ = writeln!(form, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", wire::LANG, words.tag);
        if let Some(token) = self.token {
            // The placeholder has to stand as it is; the rest of a token needs no escaping.
            let _ = writeln!(form, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", wire::TOKEN, token.text());
            let bits = settings::work_bits(context);
            if bits > 0 {
                let _ = writeln!(
                    form,
                    "<input type=\"hidden\" name=\"{}\" id=\"work\" data-challenge=\"{}\" data-bits=\"{bits}\">",
                    wire::WORK,
                    token.challenge()
                );
            }
        }
        // Enter in a field presses the first button of a form: that one must send.
        form.push_str("<button class=\"first\" tabindex=\"-1\" aria-hidden=\"true\"></button>\n");
        form.push_str(&self.service());
        form.push_str(&self.text());
        form.push_str(&self.place());
        form.push_str(&self.photos());
        form.push_str(&self.contact());
        let _ = writeln!(
            form,
            "<div class=\"trap\" aria-hidden=\"true\">\n<label for=\"{0}\">{1}</label>\n<input id=\"{0}\" name=\"{0}\" tabindex=\"-1\" autocomplete=\"off\">\n</div>",
            wire::TRAP,
            escape(words.trap)
        );
        let emergency = escape(words.emergency);
        let _ = writeln!(
            form,
            "<p class=\"hint\">{emergency}</p>\n<button class=\"send\" data-sending=\"{}\">{}</button>\n</form>",
            escape(words.sending),
            escape(words.send)
        );
        form
    }

    fn value(&self, name: &str) -> &str {
        self.sent.and_then(|sent| sent.get(name)).map(|value| cut(value, MAX_SHOWN)).unwrap_or_default()
    }

    fn fault(&self, id: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.id == id)
    }

    /// Hint and fault, and the attributes that tie them to the control.
    fn described(&self, field: &Field<'_>) -> (String, String) {
        let id = escape(field.id);
        let (mut texts, mut ids) = (String::new(), Vec::new());
        if let Some(hint) = field.hint {
            let _ = writeln!(texts, "<p class=\"hint\" id=\"{id}-hint\">{}</p>", escape(hint));
            ids.push(format!("{id}-hint"));
        }
        if let Some(fault) = self.fault(field.id) {
            let word = escape(self.words().error);
            let _ = writeln!(
                texts,
                "<p class=\"fault\" id=\"{id}-fault\"><span class=\"sr\">{word}: </span>{}</p>",
                escape(&fault.message)
            );
            ids.push(format!("{id}-fault"));
        }
        let mut attributes = String::new();
        if field.required {
            attributes.push_str(" required");
        }
        if !ids.is_empty() {
            let _ = write!(attributes, " aria-describedby=\"{}\"", ids.join(" "));
        }
        if self.fault(field.id).is_some() {
            attributes.push_str(" aria-invalid=\"true\"");
        }
        (texts, attributes)
    }

    fn label(&self, field: &Field<'_>) -> String {
        let optional = if field.required {
            String::new()
        } else {
            format!(" <span class=\"optional\">{}</span>", escape(self.words().optional))
        };
        format!("{}{optional}", escape(field.label))
    }

    /// A labelled control. `control` is its mark-up, with `{}` for the attributes every control has.
    fn field(&self, field: &Field<'_>, control: &str) -> String {
        let (texts, attributes) = self.described(field);
        let (id, name, label) = (escape(field.id), escape(field.name), self.label(field));
        let class = if self.fault(field.id).is_some() { "field wrong" } else { "field" };
        let control = say(control, &[&format!("id=\"{id}\" name=\"{name}\"{attributes}")]);
        format!("<div class=\"{class}\">\n<label for=\"{id}\">{label}</label>\n{texts}{control}\n</div>\n")
    }

    fn input(&self, field: &Field<'_>, kind: &str) -> String {
        // What is filled in is not searched for `{}`, but the value stands in the mark-up itself.
        let value = escape(self.value(field.name)).replace("{}", "&#123;}");
        self.field(field, &format!("<input {{}} {kind} value=\"{value}\">"))
    }

    fn area(&self, field: &Field<'_>, rows: u8) -> String {
        let value = escape(self.value(field.name)).replace("{}", "&#123;}");
        // HTML drops one line feed after the tag.
        self.field(field, &format!("<textarea {{}} rows=\"{rows}\">\n{value}</textarea>"))
    }

    fn service(&self) -> String {
        let words = self.words();
        let services = &self.site.context.profile.services;
        if services.is_empty() {
            return String::new();
        }
        let chosen = self.value(wire::SERVICE);
        let option = |value: &str, label: &str| {
            let selected = if value == chosen && !chosen.is_empty() { " selected" } else { "" };
            format!("<option value=\"{}\"{selected}>{}</option>\n", escape(value), label)
        };
        let mut options = format!("<option value=\"\">{}</option>\n", escape(words.choose_service));
        let mut groups: Vec<Option<&str>> = Vec::new();
        for service in services {
            if !groups.contains(&service.group.as_deref()) {
                groups.push(service.group.as_deref());
            }
        }
        for group in groups {
            let members = services.iter().filter(|service| service.group.as_deref() == group);
            let members: String = members
                .map(|service| {
                    option(&service.code, &self.site.told(&service.name).unwrap_or_else(|| escape(&service.code)))
                })
                .collect();
            match group {
                Some(group) => {
                    // A profile's groups have no words; most are departments, which have.
                    let departments = &self.site.context.profile.departments;
                    let department = departments.iter().find(|department| department.code == group);
                    let name = department.and_then(|department| self.site.told(&department.name));
                    let label = name.unwrap_or_else(|| escape(group));
                    let _ = write!(options, "<optgroup label=\"{label}\">\n{members}</optgroup>\n");
                }
                None => options.push_str(&members),
            }
        }
        options.push_str(&option(check::OTHER, &escape(words.other_service)));
        let has_questions = services.iter().any(|service| !service.attributes.is_empty());
        let field = Field {
            id: wire::SERVICE,
            name: wire::SERVICE,
            label: words.service,
            hint: has_questions.then_some(words.questions_hint),
            required: true,
        };
        let select = format!("<select {{}}>\n{}</select>", options.replace("{}", "&#123;}"));
        let mut all = self.field(&field, &select);
        if has_questions {
            let _ = writeln!(
                all,
                "<button class=\"quiet\" name=\"{}\" value=\"{}\">{}</button>",
                wire::STEP,
                wire::SERVICE,
                escape(words.questions)
            );
        }
        if let Some(service) = self.sent.and_then(|sent| check::service(sent, &self.site.context.profile)) {
            all.push_str(&self.questions(service));
        }
        all
    }

    fn questions(&self, service: &Service) -> String {
        if service.attributes.is_empty() {
            return String::new();
        }
        let name = self.site.told(&service.name).unwrap_or_else(|| escape(&service.code));
        let about = self.site.told(&service.description).map(|text| format!("<p class=\"hint\">{text}</p>\n"));
        let questions: String =
            service.attributes.iter().enumerate().map(|(index, attribute)| self.question(index, attribute)).collect();
        format!("<fieldset>\n<legend>{name}</legend>\n{}{questions}</fieldset>\n", about.unwrap_or_default())
    }

    fn question(&self, index: usize, attribute: &ServiceAttribute) -> String {
        let (id, name) = (check::question_id(index), wire::attribute(&attribute.code));
        let field = Field {
            id: &id,
            name: &name,
            label: check::question(attribute, self.words()),
            hint: attribute.datatype_description.as_deref(),
            required: attribute.required,
        };
        match attribute.datatype {
            AttributeDatatype::StringValue => self.input(&field, "autocomplete=\"off\""),
            AttributeDatatype::Number => self.input(&field, "inputmode=\"decimal\" autocomplete=\"off\""),
            AttributeDatatype::Datetime => self.input(&field, "type=\"datetime-local\""),
            AttributeDatatype::Text => self.area(&field, 3),
            AttributeDatatype::SingleValueList => self.choices(&field, attribute, "radio"),
            AttributeDatatype::MultiValueList => self.choices(&field, attribute, "checkbox"),
        }
    }

    fn choices(&self, field: &Field<'_>, attribute: &ServiceAttribute, kind: &str) -> String {
        let (texts, attributes) = self.described(field);
        // `required` of a radio button is said of each; of check boxes it would mean every one.
        let attributes = attributes.replace(" required", "").replace(" aria-invalid=\"true\"", "");
        let chosen: Vec<&str> = self.sent.iter().flat_map(|sent| sent.all(field.name)).collect();
        let mut items = String::new();
        for (index, (key, label)) in attribute.values.iter().enumerate() {
            let id = if index == 0 { field.id.to_owned() } else { format!("{}-{}", field.id, index + 1) };
            let checked = if chosen.contains(&key.as_str()) { " checked" } else { "" };
            let _ = writeln!(
                items,
                "<label class=\"choice\"><input type=\"{kind}\" id=\"{}\" name=\"{}\" value=\"{}\"{checked}> {}</label>",
                escape(&id),
                escape(field.name),
                escape(key),
                escape(label)
            );
        }
        let class = if self.fault(field.id).is_some() { "field wrong" } else { "field" };
        format!(
            "<fieldset class=\"{class} choices\"{attributes}>\n<legend>{}</legend>\n{texts}{items}</fieldset>\n",
            self.label(field)
        )
    }

    fn text(&self) -> String {
        let words = self.words();
        let hint = say(words.text_hint, &[&wire::MAX_TEXT.to_string()]);
        let field = Field { id: wire::TEXT, name: wire::TEXT, label: words.text, hint: Some(&hint), required: true };
        self.area(&field, 6)
    }

    fn place(&self) -> String {
        let words = self.words();
        let field = |id: &'static str, label, hint| Field { id, name: id, label, hint, required: false };
        let address =
            self.input(&field(wire::ADDRESS, words.address, Some(words.address_hint)), "autocomplete=\"off\"");
        let lat = self.input(&field(wire::LAT, words.latitude, None), "inputmode=\"text\" autocomplete=\"off\"");
        let long = self.input(&field(wire::LONG, words.longitude, None), "inputmode=\"text\" autocomplete=\"off\"");
        let is_open =
            self.fault(wire::LAT).is_some() || !self.value(wire::LAT).is_empty() || !self.value(wire::LONG).is_empty();
        let open = if is_open { " open" } else { "" };
        format!(
            "<fieldset>\n<legend>{}</legend>\n{address}<div class=\"locate\">\n<button type=\"button\" class=\"quiet\" id=\"locate\" hidden data-locating=\"{}\" data-located=\"{}\" data-failed=\"{}\">{}</button>\n<p id=\"located\" role=\"status\"></p>\n</div>\n<details id=\"coordinates\"{open}>\n<summary>{}</summary>\n<div class=\"pair\">\n{lat}{long}</div>\n</details>\n</fieldset>\n",
            escape(words.place),
            escape(words.locating),
            escape(words.located),
            escape(words.not_located),
            escape(words.locate),
            escape(words.coordinates),
        )
    }

    fn photos(&self) -> String {
        let words = self.words();
        let megabytes = (wire::MAX_BODY >> 20).to_string();
        let hint = say(words.photos_hint, &[&wire::MAX_PHOTOS.to_string(), &megabytes]);
        let hint = format!("{hint} {}", words.photo_position_hint);
        let field =
            Field { id: wire::PHOTO, name: wire::PHOTO, label: words.photos, hint: Some(&hint), required: false };
        // Without HEIC in the list a telephone that makes those sends a JPEG, which everybody can look at.
        self.field(&field, "<input {} type=\"file\" multiple accept=\"image/jpeg,image/png,image/webp\">")
    }

    fn contact(&self) -> String {
        let words = self.words();
        let field = |id: &'static str, label| Field { id, name: id, label, hint: None, required: false };
        format!(
            "<fieldset>\n<legend>{}</legend>\n<p class=\"hint\">{}</p>\n{}{}{}</fieldset>\n",
            escape(words.contact),
            escape(words.contact_hint),
            self.input(&field(wire::NAME, words.name), "autocomplete=\"name\""),
            self.input(&field(wire::EMAIL, words.email), "type=\"email\" autocomplete=\"email\" spellcheck=\"false\""),
            self.input(&field(wire::PHONE, words.phone), "type=\"tel\" autocomplete=\"tel\""),
        )
    }
}
