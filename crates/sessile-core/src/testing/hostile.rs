//! Any text is data: names, keys and values that trip up quoting, collation, prefixes and limits.

use std::time::Duration;

use super::{
    fixture::{Fixture, HOUR, MINUTE, Population, data, id, killed, record, record_of, tombstone},
    report::{Outcome, same},
};
use crate::{
    clock::Timestamp,
    filter::{Filter, State},
    record::{Ended, Lifetime, Previous, Record},
    store::Swept,
    token::{Nonce, SecretHash, SessionId},
};

const LONG: usize = 64 * 1024;

/// Texts that some server, index or escape mistakes for another.
fn nasty() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        "a",
        "A",
        "a ",
        " a",
        "a\0",
        "a\0b",
        "\0",
        "ab",
        "a:b",
        "a/b",
        "a\\b",
        "á",
        "a\u{301}",
        "Á",
        "ß",
        "ss",
        "ı",
        "i",
        "I",
        "İ",
        "ﬁ",
        "fi",
        "'",
        "''",
        "\"",
        "`",
        "$",
        "$1",
        "$ne",
        "{\"$gt\":\"\"}",
        ".",
        "..",
        "a.b",
        "../../etc/passwd",
        "%",
        "_",
        "%41",
        "a%",
        "a_",
        "*",
        "?",
        "[a]",
        "[a-z]",
        "(.*)",
        "^a",
        "{a}",
        "~",
        "-",
        "--",
        ";",
        "'; DROP TABLE sessions; --",
        "' OR '1'='1",
        "\r\n",
        "\n",
        "\t",
        "null",
        "NULL",
        "true",
        "0",
        "00",
        "0.0",
        "1e3",
        "\u{feff}",
        "\u{200b}",
        "\u{202e}",
        "\u{ffff}",
        "\u{10ffff}",
        "🦀",
        "\u{7f}",
        "日本語",
        "user",
        "user:a",
        "=",
        "&",
        "<b>",
        "#",
        "@",
        "!",
        "|",
        ",",
        "a,b",
        "a|b",
    ]
    .map(str::to_owned)
    .into();
    let long = "x".repeat(LONG - 1);
    texts.extend(["y", "z", "Z", "\0"].map(|last| format!("{long}{last}")));
    texts.push("é".repeat(LONG / 2));
    texts
}

pub(super) async fn users_are_kept_apart(kit: &Fixture<'_>) -> Outcome {
    let names = nasty();
    let population = kit.populate(names.len(), |number| record_of(&names[number], kit.now)).await?;
    kit.lists_users(&population, 7, kit.now).await?;
    apart(kit, &names, population, |name| Filter::user(name)).await
}

pub(super) async fn groups_are_kept_apart(kit: &Fixture<'_>) -> Outcome {
    let names = nasty();
    let population = kit
        .populate(names.len(), |number| Record { groups: vec![names[number].clone()], ..record(kit.now) })
        .await?;
    apart(kit, &names, population, |name| Filter::group(name)).await
}

async fn apart(
    kit: &Fixture<'_>,
    names: &[String],
    mut population: Population,
    owned: impl Fn(&str) -> Filter,
) -> Outcome {
    for (number, name) in names.iter().enumerate() {
        kit.holds("a session with a name that is hard to store", &id(number), &population[&id(number)])
            .await?;
        kit.lists(&population, &owned(name), 10, kit.now).await?;
    }
    kit.lists(&population, &owned("nobody"), 10, kit.now).await?;
    // What was ended is found under its name, and only there.
    for name in &names[..10] {
        same("end_all of one owner's sessions", 1, kit.store.end_all(&owned(name), &killed(kit.now)).await?)?;
    }
    for number in 0..10 {
        population.entry(id(number)).and_modify(|record| record.entomb(killed(kit.now)));
    }
    for name in names {
        kit.lists(&population, &owned(name).state(State::Ended), 10, kit.now).await?;
    }
    kit.lists(&population, &Filter::all(), 7, kit.now).await
}

pub(super) async fn many_groups_are_kept(kit: &Fixture<'_>) -> Outcome {
    let mut groups = nasty();
    groups.sort();
    let population: Population = [(id(1), Record { groups, ..record(kit.now) })].into();
    kit.begin(&id(1), &population[&id(1)]).await?;
    kit.holds("a session in many groups", &id(1), &population[&id(1)]).await?;
    for group in &population[&id(1)].groups {
        kit.lists(&population, &Filter::group(group), 10, kit.now).await?;
    }
    Ok(())
}

pub(super) async fn devices_are_searched_as_text(kit: &Fixture<'_>) -> Outcome {
    let devices = nasty();
    let population = kit
        .populate(devices.len(), |number| Record { device: Some(devices[number].clone()), ..record(kit.now) })
        .await?;
    for device in devices.iter().filter(|device| device.len() < LONG) {
        kit.lists(&population, &Filter::all().device(device), 100, kit.now).await?;
    }
    for (id, record) in &population {
        kit.holds("a session whose device is hard to store", id, record).await?;
    }
    Ok(())
}

pub(super) async fn any_data_comes_back(kit: &Fixture<'_>) -> Outcome {
    let texts = nasty();
    let mut record = record(kit.now);
    for (number, text) in texts.iter().enumerate() {
        record.data.set(text, texts[texts.len() - 1 - number].as_bytes());
    }
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    record.data.set("every byte", &every_byte);
    kit.begin(&id(1), &record).await?;
    kit.holds("data that is hard to store", &id(1), &record).await?;

    let empty = Record { data: data(&[]), ..record.clone() };
    let version = kit.load(&id(1)).await?.version;
    kit.change(&id(1), &empty, version, kit.now).await?;
    kit.holds("a session whose data was emptied", &id(1), &empty).await
}

pub(super) async fn any_actor_comes_back(kit: &Fixture<'_>) -> Outcome {
    for (number, by) in nasty().into_iter().enumerate() {
        let record = record_of("ferris", kit.now);
        kit.begin(&id(number), &record).await?;
        let ended = Ended { by: Some(by), ..killed(kit.now) };
        same("end of a live session", true, kit.store.end(&id(number), &ended).await?)?;
        kit.holds("a tombstone whose actor is hard to store", &id(number), &tombstone(&record, ended))
            .await?;
    }
    Ok(())
}

pub(super) async fn any_bytes_are_an_id(kit: &Fixture<'_>) -> Outcome {
    let mut ids = vec![[0; 16], [0xff; 16], [0x80; 16], *b"0123456789abcdef", *b"{tag}:*?[a-z]'\"\\"];
    for position in 0..16 {
        for byte in [0, 1, 0xff] {
            let mut bytes = [b'a'; 16];
            bytes[position] = byte;
            ids.push(bytes);
        }
    }
    let mut population = Population::new();
    for (number, bytes) in ids.into_iter().enumerate() {
        let record = record_of(&format!("user {number}"), kit.now);
        kit.begin(&SessionId::from_bytes(bytes), &record).await?;
        population.insert(SessionId::from_bytes(bytes), record);
    }
    for (id, record) in &mut population {
        kit.holds("a session with an unusual id", id, record).await?;
        let user = record.user.clone().unwrap_or_default();
        kit.store.touch(id, kit.now + MINUTE).await?;
        record.seen = kit.now + MINUTE;
        kit.lists(&[(*id, record.clone())].into(), &Filter::user(user), 10, kit.now).await?;
    }
    for limit in [1, 7] {
        kit.lists(&population, &Filter::all(), limit, kit.now).await?;
    }
    for id in population.keys() {
        same("end of a session with an unusual id", true, kit.store.end(id, &killed(kit.now)).await?)?;
    }
    Ok(())
}

pub(super) async fn every_field_comes_back(kit: &Fixture<'_>) -> Outcome {
    let previous = |until| {
        Some(Previous {
            secret: SecretHash::from_bytes([0; 32]),
            nonce: Nonce::from_bytes([0xff; 16]),
            until,
        })
    };
    let full = Record {
        secret: SecretHash::from_bytes(std::array::from_fn(|byte| byte as u8)),
        previous: previous(Some(kit.now + MINUTE)),
        groups: vec!["a".into(), "b".into()],
        created: kit.now - 40 * MINUTE,
        seen: kit.now - 2 * MINUTE,
        renewed: kit.now - 20 * MINUTE,
        lifetime: Lifetime {
            idle: Duration::from_millis(3_600_001),
            slack: Duration::ZERO,
            deadline: kit.now + Duration::from_millis(7_200_003),
            retention: 7 * 24 * HOUR,
        },
        persistent: true,
        device: Some("Firefox on Fedora".into()),
        ..record_of("ferris", kit.now)
    };
    let mut version = kit.begin(&id(1), &full).await?;
    kit.holds("a record with every field", &id(1), &full).await?;
    for changed in [
        Record { previous: previous(None), ..full.clone() },
        Record { previous: None, secret: SecretHash::from_bytes([0xff; 32]), ..full.clone() },
        Record { groups: vec![], device: None, persistent: false, user: None, ..full.clone() },
        Record { renewed: kit.now, device: Some(String::new()), groups: vec![String::new()], ..full.clone() },
        full,
    ] {
        version = kit.change(&id(1), &changed, version, kit.now).await?;
        kit.holds("a record with changed fields", &id(1), &changed).await?;
    }
    Ok(())
}

/// "Never" is the largest moment and the longest duration, which overflow in naive sums.
pub(super) async fn never_is_never(kit: &Fixture<'_>) -> Outcome {
    let plain = record_of("ferris", kit.now);
    let never = Lifetime {
        idle: Duration::MAX,
        slack: Duration::ZERO,
        deadline: Timestamp::MAX,
        retention: Duration::MAX,
    };
    let lifetimes = [
        never,
        Lifetime { idle: HOUR, ..never },
        Lifetime { deadline: kit.now + HOUR, ..never },
        Lifetime { retention: HOUR, ..never },
    ];
    let mut population =
        kit.populate(4, |number| Record { lifetime: lifetimes[number], ..plain.clone() }).await?;
    for (id, record) in &population {
        kit.holds("a session that may live for ever", id, record).await?;
    }
    let later = kit.now + 100 * 365 * 24 * HOUR;
    for now in [kit.now, later] {
        for filter in [Filter::user("ferris"), Filter::all().expires(later..=Timestamp::MAX)] {
            kit.lists(&population, &filter.state(State::Any), 10, now).await?;
        }
    }
    let swept = kit.sweep_out(10, later).await?;
    same("sweep a century later", Swept { entombed: 2, removed: 0, more: false }, swept)?;
    same("end a century later", true, kit.store.end(&id(0), &killed(later)).await?)?;
    for (id, record) in &mut population {
        if let Some(ended) = record.ended_at(later) {
            record.entomb(ended);
        } else if *id == self::id(0) {
            record.entomb(killed(later));
        }
    }
    kit.sweep_out(10, later + HOUR).await?;
    kit.lists(&population, &Filter::all().state(State::Any), 10, later + HOUR).await
}
