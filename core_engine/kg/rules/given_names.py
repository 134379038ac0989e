"""Given names that are hardly anything else: with one more name behind it, somebody is meant."""

from __future__ import annotations

from core_engine.kg.normalise import word_set

GIVEN = word_set("""
    aaron adam adrian ahmed aisha alan albert alejandro alessandro alexander alexandra alexis alfred alice alicia
    alison allison amanda amelia amy ana anders andrea andreas andrei andrew andy angela anita ann anna anne annette
    annie anthony antoine anton antonio arjun arthur ashley barbara beatrice benjamin bernard bernd bernie betsy
    betty beth bob bobby brandon brenda brian bridget bruce bryan caitlin carla carlos carmen carol caroline carolyn
    catherine cathy cecilia charlotte cheryl chris christina christine christoph christopher cindy claire clara
    claudia colin craig cristina cynthia daniel daniela danielle danny darren dave david deborah debra denise dennis
    derek diana diane diego dimitri dmitri donald donna doris dorothy doug dylan eddie edgar eduardo edward edwin
    eileen elaine elena eleanor elizabeth ella ellen emil emily emma enrique eric erica erik erin ernest esther
    ethan eugene eva evelyn felipe fernando fiona francesca francesco francisco francois frank franz fred frederick
    gabriela gabriele gareth geoffrey george gerald gerard giovanni giulia glenn gloria gordon graham greg gregory
    guillaume gustavo hannah hans harold harry heather heidi heike helen helena henri henrik henry herbert howard
    hugo ian ibrahim igor ines ingrid irene isaac isabel isabella ivan jack jacob jacqueline jacques jaime jake
    jakob james jan jane janet janice jason javier jean jeanne jeff jeffrey jennifer jeremy jessica jill jim jimmy
    joan joanna joanne joel johan johanna johannes john johnny jonathan jorge jose joseph joshua juan juergen julia
    julian juliana julie jun karen karin karl kate katherine kathleen kathryn kathy katie keith kelly kenneth kevin
    kim klaus kristin kristina kurt kyle larry laura lauren laurent leah leonard leonardo leslie linda lindsay lisa
    liz lorenzo louis louise lucas lucia luca lucy luis luisa lukas lydia lynn magnus manuel marc marcel marcelo
    marco marcos marcus margaret maria marianne marie marina mario marjorie mark markus marta martha martin martina
    mary mathias mathieu matt matteo matthew matthias maurice megan mehmet melanie melissa michael michel michele
    michelle miguel mike mikhail miranda miriam mohamed mohammed monica monika nadia nancy natalia natalie natasha
    nathan neil nicholas nick nicolas nicole nigel nikolai nina noah nora norman oleg oliver olivia oscar otto pablo
    pamela patricia patrick paul paula pauline pedro peggy peter petra philip philippe phillip pierre pieter priya
    rachel rafael rahul raj rajesh ralph ramon raymond rebecca renee ricardo richard rick rob robert roberto roger
    ronald rosa rosemary roy russell ruth ryan sabine sally samantha samuel sandra sanjay sara sarah scott sean
    sebastian sergei sergio sharon sheila shirley silvia simon simone sofia sophia sophie stefan stefano stella
    stephanie stephen steve steven stuart sue sunil susan susanna suzanne svetlana sven sylvia tamara tanya teresa
    theodore theresa thomas tim timothy tina todd tom tomas tommy tony tracy ulrich ursula valentina valerie vanessa
    veronica vic vicki victor vijay vincent vivian vladimir walter wayne wendy werner wilhelm william wolfgang yusuf
    yves yvonne zachary
""")
